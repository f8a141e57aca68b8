"""Runs the language model's layers, for models of Llama's form with few and large operations.

Llama, Mistral and Qwen2 layers are the same arithmetic; here q, k and v are one product, gate and
up another, and nothing is built per layer. The fused weights take the place of the model's own
(which become views of them), so no memory is spent and stock `generate()` goes on working. Other
language models run through transformers' own forward. Nothing here knows caches or rows.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch.nn.functional import linear, silu

from myopia.attention import AttentionCall, attending
from myopia.norms import Norm

PROJECTIONS = ("q_proj", "k_proj", "v_proj")


class TokenCall(Protocol):
    """What to do with one layer's heads of one token per row."""

    def attend(self, layer: int, heads: torch.Tensor, scaling: float) -> torch.Tensor:
        """The outputs `(B, Q * D)` of rotated heads `(B, Q + 2H, D)`: queries, keys, values."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """One decoder layer: its attention module (for its number and scaling), norms and products."""

    attention: Any
    norm: Norm
    qkv: tuple[torch.Tensor, torch.Tensor | None]
    output: torch.Tensor
    mlp_norm: Norm
    gate_up: torch.Tensor
    down: torch.Tensor


class TextModel:
    """The decoder of a LLaVA-NeXT, without its word table and head."""

    def __init__(self, language: Any) -> None:  # noqa: ANN401 - several classes of transformers
        self.language = language
        self.fused = [_fused(layer) for layer in language.layers] if _is_llama(language) else None
        self.last_norm = Norm.of(language.norm) if self.fused is not None else None

    def __call__(
        self, embedded: torch.Tensor, positions: torch.Tensor, call: AttentionCall
    ) -> torch.Tensor:
        """Hidden states `(B, T, hidden)` after the last norm; `positions` `(B, T)`.

        Every layer's attention is `call`'s to compute.
        """
        if self.fused is None or self.last_norm is None:
            return self._by_transformers(embedded, positions, call)
        cosine, sine = self.language.rotary_emb(embedded, positions)
        turn = (cosine[:, :, None], sine[:, :, None])  # (B, T, 1, D)
        hidden = embedded
        for layer in self.fused:
            hidden = hidden + self._attend(layer, hidden, turn, call)
            hidden = hidden + _fed_forward(layer, hidden)
        return self.last_norm(hidden)

    def one_token(
        self, embedded: torch.Tensor, positions: torch.Tensor, call: TokenCall
    ) -> torch.Tensor:
        """As a call with one token per row, `(B, hidden)` at `(B,)`, by fewer operations."""
        if self.fused is None or self.last_norm is None:
            apart = _Apart(call)
            return self._by_transformers(embedded[:, None], positions[:, None], apart)[:, 0]
        module = self.fused[0].attention
        width = module.head_dim
        cosine, sine = self.language.rotary_emb(embedded, positions[:, None])
        turn = _turn(cosine, sine, [len(self.fused[0].qkv[0]), module.v_proj.out_features])
        hidden = embedded
        for layer in self.fused:
            heads = linear(layer.norm(hidden), *layer.qkv).view(turn[0].shape)
            turned = (heads * turn[0]).addcmul_(heads.roll(width // 2, -1), turn[1])
            attended = call.attend(layer.attention.layer_idx, turned, layer.attention.scaling)
            hidden = hidden + linear(attended, layer.output)
            hidden = hidden + _fed_forward(layer, hidden)
        return self.last_norm(hidden)

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
        projected = linear(layer.norm(hidden), *layer.qkv)
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


class _Apart:
    """A token call as transformers' layers make it: queries, keys and values apart."""

    def __init__(self, call: TokenCall) -> None:
        self.call = call

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        scaling: float,
    ) -> torch.Tensor:
        layer: Any = module.layer_idx
        heads = torch.cat([query, key, value], dim=1)[:, :, 0]
        attended = self.call.attend(layer, heads, scaling)
        return attended.view(len(query), 1, query.shape[1], -1)


def _fed_forward(layer: _Layer, hidden: torch.Tensor) -> torch.Tensor:
    gate, up = linear(layer.mlp_norm(hidden), layer.gate_up).chunk(2, dim=-1)
    return linear(silu(gate).mul_(up), layer.down)


def _rotated(heads: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of `(B, heads, T, D)` by half-width pairs, as Llama pairs them."""
    half = heads.shape[-1] // 2
    turned = heads * cosine
    turned[..., :half].addcmul_(heads[..., half:], sine[..., :half], value=-1)
    turned[..., half:].addcmul_(heads[..., :half], sine[..., half:])
    return turned


def _turn(
    cosine: torch.Tensor, sine: torch.Tensor, features: list[int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors `(B, Q + 2H, D)` of heads, and of heads with their halves changed round.

    Values are turned by nothing: all heads in one product cost less than most of them apart.
    """
    width = cosine.shape[-1]
    values = features[1] // width
    turning = features[0] // width - values
    signed = torch.cat([-sine[..., : width // 2], sine[..., width // 2 :]], dim=-1)
    still = cosine.new_zeros(len(cosine), values, width)
    return (
        torch.cat([cosine.expand(-1, turning, -1), still + 1], dim=1),
        torch.cat([signed.expand(-1, turning, -1), still], dim=1),
    )


def _is_llama(language: Any) -> bool:  # noqa: ANN401
    """Whether every layer is exactly Llama's arithmetic."""
    known = {"LlamaModel", "MistralModel", "Qwen2Model"}
    return type(language).__name__ in known and language.config.hidden_act == "silu"


def _fused(layer: Any) -> _Layer:  # noqa: ANN401
    attention, mlp = layer.self_attn, layer.mlp
    projections = [getattr(attention, name) for name in PROJECTIONS]
    return _Layer(
        attention,
        Norm.of(layer.input_layernorm),
        (_joined(projections, "weight"), _joined(projections, "bias")),
        attention.o_proj.weight,
        Norm.of(layer.post_attention_layernorm),
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
