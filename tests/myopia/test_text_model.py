"""The fused layers are transformers' own arithmetic, and leave the stock model as it was."""

from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import LlamaConfig, LlamaModel, MistralConfig, Qwen2Config, Qwen2Model
from transformers.models.mistral.modeling_mistral import MistralModel

from myopia.attention import NAME, register
from myopia.text_model import TextModel

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
}


def attend(module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float) -> Any:
    return scaled_dot_product_attention(
        query, key, value, is_causal=True, scale=scaling, enable_gqa=True
    ).transpose(1, 2)


def language(kind: str) -> Any:
    torch.manual_seed(0)
    model: Any = {
        "llama": lambda: LlamaModel(LlamaConfig(**SIZES, attention_bias=False)),
        "mistral": lambda: MistralModel(MistralConfig(**SIZES, sliding_window=None, head_dim=12)),
        "qwen2": lambda: Qwen2Model(Qwen2Config(**SIZES)),
        "gelu": lambda: LlamaModel(LlamaConfig(**SIZES, hidden_act="gelu")),
    }[kind]()
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    register()
    model.set_attn_implementation(NAME)
    return model.eval().requires_grad_(False)


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "gelu"])
def test_equal_to_transformers(kind: str) -> None:
    model = language(kind)
    embedded = torch.randn(2, 9, 48)
    positions = torch.stack([torch.arange(9), torch.arange(9) + 300])
    plain = TextModel(model)
    plain.fused = None
    expected = plain(embedded, positions, attend)
    stock = model(inputs_embeds=embedded[:1]).last_hidden_state
    fused = TextModel(model)
    assert (fused.fused is None) == (kind == "gelu"), "only Llama's form is fused"
    # 1e-5 is rounding: in float64 either is 3e-6 to 5e-6 away from the truth
    assert torch.allclose(fused(embedded, positions, attend), expected, atol=1e-5)
    # the model's own weights are views of the fused ones now, with the same values
    assert torch.equal(model(inputs_embeds=embedded[:1]).last_hidden_state, stock)
    if fused.fused is not None:
        first = model.layers[0].self_attn
        assert first.k_proj.weight.untyped_storage().data_ptr() == (
            fused.fused[0].qkv[0].untyped_storage().data_ptr()
        )


class Remembering:
    """A token call that attends to the token alone, and keeps what it was given."""

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def attend(self, layer: int, heads: torch.Tensor, scaling: float) -> torch.Tensor:
        self.seen.append(heads.clone())
        return heads[:, -2:].repeat_interleave(3, 1).flatten(1)


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "gelu"])
def test_one_token_is_a_call_of_one_token(kind: str) -> None:
    """Queries and keys turned, values as they are, in one tensor; the same hidden states."""
    model = language(kind)
    text = TextModel(model)
    embedded, positions = torch.randn(5, 48), torch.tensor([0, 7, 300, 2, 41])
    wanted: list[torch.Tensor] = []

    def alone(module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float) -> Any:
        wanted.append(torch.cat([query, key, value], dim=1)[:, :, 0])
        return attend(module, query, key, value, mask, scaling)

    expected = text(embedded[:, None], positions[:, None], alone)[:, 0]
    call = Remembering()
    found = text.one_token(embedded, positions, call)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    for mine, theirs in zip(call.seen, wanted, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=1e-5)
