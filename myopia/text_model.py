"""Runs the language model's layers, for models of Llama's form with few and large operations.

Llama, Mistral and Qwen2 layers are the same arithmetic; here q, k and v are one product, gate and
up another, and nothing is built per layer. The fused weights take the place of the model's own
(which become views of them), so no memory is spent and stock `generate()` goes on working. Other
language models run through transformers' own forward. Nothing here knows caches or rows.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import linear, rms_norm, silu

from myopia.attention import AttentionCall, attending

PROJECTIONS = ("q_proj", "k_proj", "v_proj")


@dataclass(frozen=True, slots=True)
class _Layer:
    """One decoder layer: its attention module (for its number and scaling), norms and products."""

    attention: Any
    norm: tuple[torch.Tensor, float]
    qkv: tuple[torch.Tensor, torch.Tensor | None]
    output: torch.Tensor
    mlp_norm: tuple[torch.Tensor, float]
    gate_up: torch.Tensor
    down: torch.Tensor


class TextModel:
    """The decoder of a LLaVA-NeXT, without its word table and head."""

    def __init__(self, language: Any) -> None:  # noqa: ANN401 - several classes of transformers
        self.language = language
        self.fused = [_fused(layer) for layer in language.layers] if _is_llama(language) else None

    def __call__(
        self, embedded: torch.Tensor, positions: torch.Tensor, call: AttentionCall
    ) -> torch.Tensor:
        """Hidden states `(B, T, hidden)` after the last norm; `positions` `(B, T)`.

        Every layer's attention is `call`'s to compute.
        """
        if self.fused is None:
            return self._by_transformers(embedded, positions, call)
        cosine, sine = self.language.rotary_emb(embedded, positions)
        turn = (cosine[:, :, None], sine[:, :, None])  # (B, T, 1, D)
        hidden = embedded
        for layer in self.fused:
            hidden = hidden + self._attend(layer, hidden, turn, call)
            inner = linear(_normed(hidden, layer.mlp_norm), layer.gate_up)
            gate, up = inner.chunk(2, dim=-1)
            hidden = hidden + linear(silu(gate).mul_(up), layer.down)
        norm = self.language.norm
        return _normed(hidden, (norm.weight, norm.variance_epsilon))

    def _attend(
        self,
        layer: _Layer,
        hidden: torch.Tensor,
        turn: tuple[torch.Tensor, torch.Tensor],
        call: AttentionCall,
    ) -> torch.Tensor:
        module = layer.attention
        batch, tokens, _ = hidden.shape
        width = module.head_dim
        key_heads = module.k_proj.out_features // width
        projected = linear(_normed(hidden, layer.norm), *layer.qkv)
        heads = projected.view(batch, tokens, -1, width).transpose(1, 2)  # (B, Q+2H, T, D)
        turned = _rotated(heads[:, :-key_heads], turn[0].transpose(1, 2), turn[1].transpose(1, 2))
        query, key = turned[:, :-key_heads], turned[:, -key_heads:]
        attended = call(module, query, key, heads[:, -key_heads:], None, module.scaling)
        return linear(attended.reshape(batch, tokens, -1), layer.output)

    def _by_transformers(
        self, embedded: torch.Tensor, positions: torch.Tensor, call: AttentionCall
    ) -> torch.Tensor:
        with attending(call):
            hidden = self.language(
                inputs_embeds=embedded,
                position_ids=positions,
                # Four dimensions: transformers takes it for a ready mask and builds none.
                attention_mask=embedded.new_zeros(1, 1, 1, 1),
                use_cache=False,
            ).last_hidden_state
        return torch.as_tensor(hidden)


def _rotated(heads: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of `(B, heads, T, D)` by half-width pairs, as Llama pairs them."""
    half = heads.shape[-1] // 2
    turned = heads * cosine
    turned[..., :half].addcmul_(heads[..., half:], sine[..., :half], value=-1)
    turned[..., half:].addcmul_(heads[..., :half], sine[..., half:])
    return turned


def _normed(hidden: torch.Tensor, norm: tuple[torch.Tensor, float]) -> torch.Tensor:
    if hidden.is_cuda or hidden.dtype != torch.float32:
        return rms_norm(hidden, (hidden.shape[-1],), norm[0], norm[1])
    # The same to the last bit; torch has no kernel for it on a CPU: 37 us against 52 for 16 x 128,
    # 71 against 226 for 2 x 4096.
    spread = hidden.square().mean(-1, keepdim=True).add_(norm[1]).rsqrt_()
    return (hidden * spread).mul_(norm[0])


def _is_llama(language: Any) -> bool:  # noqa: ANN401
    """Whether every layer is exactly Llama's arithmetic."""
    known = {"LlamaModel", "MistralModel", "Qwen2Model"}
    return type(language).__name__ in known and language.config.hidden_act == "silu"


def _fused(layer: Any) -> _Layer:  # noqa: ANN401
    attention, mlp = layer.self_attn, layer.mlp
    projections = [getattr(attention, name) for name in PROJECTIONS]
    return _Layer(
        attention,
        (layer.input_layernorm.weight, layer.input_layernorm.variance_epsilon),
        (_joined(projections, "weight"), _joined(projections, "bias")),
        attention.o_proj.weight,
        (layer.post_attention_layernorm.weight, layer.post_attention_layernorm.variance_epsilon),
        _joined([mlp.gate_proj, mlp.up_proj], "weight"),
        mlp.down_proj.weight,
    )


def _joined(modules: list[Any], name: str) -> Any:  # noqa: ANN401
    """One tensor of the modules' parameters; the modules keep views of it."""
    parts = [getattr(module, name) for module in modules]
    if parts[0] is None:
        return None
    whole = torch.cat([part.data for part in parts])
    for part, own in zip(parts, whole.split([len(part) for part in parts]), strict=True):  # type: ignore[no-untyped-call]
        part.data = own
    return whole
