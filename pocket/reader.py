"""The training forward of the stock language layers: pictures once, many questions side by side.

Uses the very modules of the stock model, so their weights are what is trained and shipped.
Gives the attention rows that scaffolding losses ask for. Knows no losses.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from pocket.model import Model
from pocket.sheets import WORD, Batch


@dataclass(slots=True)
class Layer:
    """What one layer saw and made: enough to look at its attention afterwards."""

    query: Tensor  # (B, H, P + R, D), rotated; in the last layer (B, H, R, D)
    key: Tensor  # (B, H, P + R, D), rotated
    output: Tensor  # (B, P + R, hidden); in the last layer (B, R, hidden)


def embed(model: Model, batch: Batch) -> Tensor:
    """Word and picture embeddings of the prefix, (B, P, hidden)."""
    inner = model.model
    words: Tensor = model.get_input_embeddings()(batch.prefix)
    pictures = batch.features.float()
    if pictures.shape[-1] != words.shape[-1]:  # else they were projected before
        pictures = inner.multi_modal_projector(pictures)
    pictures = torch.where(batch.newline[:, None], inner.image_newline, pictures)
    slots = (batch.prefix == WORD["<image>"])[..., None]
    return words.masked_scatter(slots, pictures)


def question_mask(batch: Batch) -> Tensor:
    """(B, 1, R, P + R): a question row sees its story's prefix and its own question so far."""
    rows = batch.asked.shape[1]
    same = batch.which[:, :, None] == batch.which[:, None, :]
    earlier = torch.ones(rows, rows, dtype=torch.bool).tril()
    left = batch.visible[:, None, :].expand(-1, rows, -1)
    return torch.cat([left, same & earlier], dim=-1)[:, None]


def run_layers(model: Model, batch: Batch) -> Iterator[Layer]:
    """Run all layers, yielding each; the last one only for question rows."""
    text = model.model.language_model
    prefix_width = batch.prefix.shape[1]
    asked = model.get_input_embeddings()(batch.asked)
    x = torch.cat([embed(model, batch), asked], dim=1)
    positions = torch.cat(
        [
            torch.arange(prefix_width).expand(len(x), -1),
            batch.lengths[:, None] + batch.place,
        ],
        dim=1,
    )
    cos, sin = text.rotary_emb(x, positions)
    mask = question_mask(batch)
    for number, layer in enumerate(text.layers):
        last = number == len(text.layers) - 1
        attention = layer.self_attn
        normed = layer.input_layernorm(x)
        size, heads = attention.head_dim, x.shape[-1] // attention.head_dim
        q, k, v = (
            part(normed).unflatten(-1, (heads, size)).transpose(1, 2)
            for part in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        q, k = apply_rotary_pos_emb(q, k, cos, sin)
        seen = F.scaled_dot_product_attention(q[:, :, prefix_width:], k, v, attn_mask=mask)
        if last:
            x, q = x[:, prefix_width:], q[:, :, prefix_width:]
        else:
            front = slice(0, prefix_width)
            first = F.scaled_dot_product_attention(
                q[:, :, front], k[:, :, front], v[:, :, front], is_causal=True
            )
            seen = torch.cat([first, seen], dim=2)
        x = x + attention.o_proj(seen.transpose(1, 2).flatten(2))
        x = x + layer.mlp(layer.post_attention_layernorm(x))
        yield Layer(q, k, x)


def answer_logits(model: Model, hidden: Tensor) -> Tensor:
    """Word scores of final question rows, (n, V)."""
    return F.linear(model.model.language_model.norm(hidden), model.get_input_embeddings().weight)
