"""Attention of one query per row over its slots of the block, each row as long as it is.

Lengths are read on the device, so a call can be captured once and replayed for other rows. With
Triton on a CUDA device a kernel does it; elsewhere keys and values are gathered first, which is
for tests and for devices without Triton. Nothing here knows layers, prompts or why a slot is kept.
"""

from dataclasses import dataclass

import torch
from torch.nn.functional import scaled_dot_product_attention

from myopia.columns_cuda import fused_is_possible


@dataclass(frozen=True, slots=True)
class Blocks:
    """Keys, values `(N, D)` and bias `(N,)` of all cells: one head of one token each."""

    keys: torch.Tensor
    values: torch.Tensor
    bias: torch.Tensor


@dataclass(frozen=True, slots=True)
class Reach:
    """Where each row's slots are in one layer: slot s of head h of row b at `origin[b, h] + s`.

    `lengths (B,)` count the slots to attend to, at least one each and `longest` at most.
    """

    origin: torch.Tensor  # (B, H) int64
    lengths: torch.Tensor  # (B,) int64
    longest: int


def attend(query: torch.Tensor, blocks: Blocks, reach: Reach, scaling: float) -> torch.Tensor:
    """Attention `(B, Q, D)` of queries `(B, Q, D)`; Q is a multiple of the key heads H."""
    if fused_is_possible(query):
        from myopia.ragged_triton import attend_triton  # noqa: PLC0415 - needs a GPU's packages

        return attend_triton(query, blocks, reach, scaling)
    return attend_by_gather(query, blocks, reach, scaling)


def attend_by_gather(
    query: torch.Tensor, blocks: Blocks, reach: Reach, scaling: float
) -> torch.Tensor:
    """As `attend`, by copies of the keys and values as wide as `longest`."""
    rows, heads = reach.origin.shape
    slot = torch.arange(reach.longest, device=query.device)
    filled = (slot < reach.lengths[:, None])[:, None]  # (B, 1, S)
    # Slots beyond a row's length may lie beyond the block: its first stands in for them, hidden.
    index = reach.origin[..., None] + slot * filled
    bias = blocks.bias[index].masked_fill(~filled, float("-inf"))
    attended = scaled_dot_product_attention(
        query.reshape(rows, heads, -1, query.shape[-1]),  # queries of a group: rows of one matrix
        blocks.keys[index],
        blocks.values[index],
        attn_mask=bias[:, :, None],
        scale=scaling,
    )
    return attended.reshape(query.shape)
