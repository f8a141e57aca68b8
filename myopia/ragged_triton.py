"""Triton kernels for a decode step's attention over ragged rows, keys taken apart by parts.

Imported only where a CUDA device and Triton are at hand. A program attends the queries of one key
head of one row to `SPLIT` of its keys; a second kernel joins the parts. So one long row keeps the
whole device busy, and a short row beside it costs only itself. Parts end at the same slots whatever
stands beside a row: its result does not depend on its neighbours, to the last bit.
Source of the idea: Dao, Haziza, Massa, Sizov, "Flash-Decoding for long-context inference", 2023.
"""
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN202, N803, PLR0913, PLR0917 - the language of kernels, not of Python

import torch
import triton
import triton.language as tl

from myopia.ragged import Blocks, Reach

SPLIT = 256  # keys of one program; a part is written once for 256 keys and values read
KEYS = 64  # keys of one turn of its loop
PARTS = 16  # parts that are joined in one turn


@triton.jit
def _attend_part(
    query, keys, values, bias, origin, lengths, parts, lse, splits, scaling,
    HEADS: tl.constexpr, GROUP: tl.constexpr, D: tl.constexpr,
    BG: tl.constexpr, BD: tl.constexpr, BN: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    row_head, split = tl.program_id(0), tl.program_id(1)
    length = tl.load(lengths + row_head // HEADS).to(tl.int32)
    begin = split * SPLIT
    if begin < length:
        end = tl.minimum(begin + SPLIT, length)
        start = tl.load(origin + row_head)
        g, d = tl.arange(0, BG), tl.arange(0, BD)
        own = (g[:, None] < GROUP) & (d[None, :] < D)
        q = tl.load(query + (row_head * GROUP + g[:, None]) * D + d[None, :], mask=own, other=0.0)
        top = tl.full([BG], float("-inf"), tl.float32)
        total = tl.zeros([BG], tl.float32)
        mixed = tl.zeros([BG, BD], tl.float32)
        for first in range(begin, end, BN):
            n = first + tl.arange(0, BN)
            live = n < end
            at = start + n
            k = tl.load(
                keys + at[None, :] * D + d[:, None],
                mask=live[None, :] & (d[:, None] < D), other=0.0,
            )  # fmt: skip
            extra = tl.load(bias + at, mask=live, other=0.0).to(tl.float32)
            s = tl.dot(q, k, input_precision="ieee") * scaling + extra[None, :]
            s = tl.where(live[None, :], s, float("-inf"))
            higher = tl.maximum(top, tl.max(s, 1))
            shrink = tl.exp(top - higher)
            p = tl.exp(s - higher[:, None])
            v = tl.load(
                values + at[:, None] * D + d[None, :],
                mask=live[:, None] & (d[None, :] < D), other=0.0,
            )  # fmt: skip
            total = total * shrink + tl.sum(p, 1)
            seen = tl.dot(p.to(v.dtype), v, input_precision="ieee")
            mixed = mixed * shrink[:, None] + seen
            top = higher
        goal = (row_head * splits + split) * GROUP + g
        tl.store(parts + goal[:, None] * D + d[None, :], mixed / total[:, None], mask=own)
        tl.store(lse + goal, top + tl.log(total), mask=g < GROUP)


@triton.jit
def _join_parts(
    parts, lse, lengths, out, splits,
    HEADS: tl.constexpr, GROUP: tl.constexpr, D: tl.constexpr,
    BD: tl.constexpr, BS: tl.constexpr, SPLIT: tl.constexpr,
):  # fmt: skip
    row_query = tl.program_id(0)
    row_head, member = row_query // GROUP, row_query % GROUP
    held = tl.cdiv(tl.load(lengths + row_head // HEADS).to(tl.int32), SPLIT)
    d = tl.arange(0, BD)
    top = tl.full([1], float("-inf"), tl.float32)
    total = tl.zeros([1], tl.float32)
    mixed = tl.zeros([BD], tl.float32)
    for first in range(0, held, BS):
        s = first + tl.arange(0, BS)
        live = s < held
        at = (row_head * splits + s) * GROUP + member
        norm = tl.load(lse + at, mask=live, other=float("-inf"))
        one = tl.load(
            parts + at[:, None] * D + d[None, :], mask=live[:, None] & (d[None, :] < D), other=0.0
        )
        higher = tl.maximum(top, tl.max(norm, 0))
        shrink = tl.exp(top - higher)
        weight = tl.exp(norm - higher)
        total = total * shrink + tl.sum(weight, 0)
        mixed = mixed * shrink + tl.sum(one * weight[:, None], 0)
        top = higher
    tl.store(out + row_query * D + d, mixed / total, mask=d < D)


def attend_triton(
    query: torch.Tensor, blocks: Blocks, reach: Reach, scaling: float
) -> torch.Tensor:
    """As `ragged.attend`; launches depend on shapes and `reach.longest` only."""
    query = query.contiguous()
    rows, query_heads, width = query.shape
    heads = reach.origin.shape[1]
    origin, lengths = reach.origin.contiguous(), reach.lengths.contiguous()
    splits = triton.cdiv(reach.longest, SPLIT)
    shape = {
        "HEADS": heads,
        "GROUP": query_heads // heads,
        "D": width,
        "BD": max(16, triton.next_power_of_2(width)),
        "SPLIT": SPLIT,
    }
    out = torch.empty_like(query)
    sizes = (rows, heads, splits, query_heads // heads)
    lse = torch.empty(sizes, dtype=torch.float32, device=query.device)
    # One part is the result: it goes where the result goes.
    parts = (
        out
        if splits == 1
        else torch.empty((*sizes, width), dtype=torch.float32, device=query.device)
    )
    # Pipelined, float32 would take 141 KiB of shared memory, which compute 8.6 and 8.9 lack.
    stored = (blocks.keys, blocks.values, blocks.bias)
    _attend_part[(rows * heads, splits)](
        query, *stored, origin, lengths, parts, lse, splits, scaling,
        BG=max(16, triton.next_power_of_2(query_heads // heads)), BN=KEYS,
        num_stages=1 if query.dtype == torch.float32 else 3, **shape,
    )  # fmt: skip
    if splits > 1:
        _join_parts[(rows * query_heads,)](parts, lse, lengths, out, splits, BS=PARTS, **shape)
    return out
