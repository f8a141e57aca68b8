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
    assert torch.allclose(fused(embedded, positions, attend), expected, atol=2e-6)
    # the model's own weights are views of the fused ones now, with the same values
    assert torch.equal(model(inputs_embeds=embedded[:1]).last_hidden_state, stock)
    if fused.fused is not None:
        first = model.layers[0].self_attn
        assert first.k_proj.weight.untyped_storage().data_ptr() == (
            fused.fused[0].qkv[0].untyped_storage().data_ptr()
        )
