"""Triton kernels for column sums: row log-sum-exp, then one pass that adds up columns.

Imported only where a CUDA device and Triton are at hand. No attention matrix is written; each
program owns a block of columns of one key head, so sums need no atomics and are repeatable.
"""
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN202, N803, PLR0913, PLR0917 - the language of kernels, not of Python

import torch
import triton
import triton.language as tl

ROWS = 64
COLUMNS = 64


@triton.jit
def _row_lse(
    query, key, positions, lse, rows, stored, scaling,
    GROUP: tl.constexpr, D: tl.constexpr, BD: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    block, head = tl.program_id(0), tl.program_id(1)
    m = block * BM + tl.arange(0, BM)
    d = tl.arange(0, BD)
    live = m < rows
    at = tl.load(positions + m, mask=live, other=-1)
    q = tl.load(
        query + head * rows * D + m[:, None] * D + d[None, :],
        mask=live[:, None] & (d[None, :] < D), other=0.0,
    )  # fmt: skip
    top = tl.full([BM], float("-inf"), tl.float32)
    total = tl.zeros([BM], tl.float32)
    base = key + (head // GROUP) * stored * D
    end = tl.max(at, 0) + 1
    for first in range(0, end, BN):
        n = first + tl.arange(0, BN)
        k = tl.load(
            base + n[None, :] * D + d[:, None],
            mask=(n[None, :] < stored) & (d[:, None] < D), other=0.0,
        )  # fmt: skip
        s = tl.dot(q, k, input_precision="ieee") * scaling
        s = tl.where(n[None, :] <= at[:, None], s, float("-inf"))
        higher = tl.maximum(top, tl.max(s, 1))
        safe = tl.where(higher == float("-inf"), 0.0, higher)
        total = total * tl.exp(top - safe) + tl.sum(tl.exp(s - safe[:, None]), 1)
        top = higher
    tl.store(lse + head * rows + m, top + tl.log(tl.where(live, total, 1.0)), mask=live)


@triton.jit
def _column_sums(
    query, key, positions, weights, weight_step, lse, first_rows, sums, rows, stored, scaling,
    GROUP: tl.constexpr, D: tl.constexpr, BD: tl.constexpr,
    BM: tl.constexpr, BN: tl.constexpr,
):  # fmt: skip
    block, head = tl.program_id(0), tl.program_id(1)
    n = block * BN + tl.arange(0, BN)
    d = tl.arange(0, BD)
    k = tl.load(
        key + head * stored * D + n[None, :] * D + d[:, None],
        mask=(n[None, :] < stored) & (d[:, None] < D), other=0.0,
    )  # fmt: skip
    total = tl.zeros([BN], tl.float32)
    begin = tl.load(first_rows + block)
    for member in range(GROUP):
        row_head = head * GROUP + member
        for first in range(begin, rows, BM):
            m = first + tl.arange(0, BM)
            live = m < rows
            at = tl.load(positions + m, mask=live, other=-1)
            weight = tl.load(weights + row_head * weight_step + m, mask=live, other=0.0)
            norm = tl.load(lse + row_head * rows + m, mask=live, other=0.0)
            q = tl.load(
                query + row_head * rows * D + m[:, None] * D + d[None, :],
                mask=live[:, None] & (d[None, :] < D), other=0.0,
            )  # fmt: skip
            s = tl.dot(q, k, input_precision="ieee") * scaling
            seen = (n[None, :] <= at[:, None]) & live[:, None]
            p = tl.where(seen, tl.exp(s - norm[:, None]), 0.0) * weight[:, None]
            total += tl.sum(p, 0)
    tl.store(sums + head * stored + n, total / GROUP, mask=n < stored)


def column_sums_triton(
    query: torch.Tensor,
    key: torch.Tensor,
    positions: torch.Tensor,
    weights: torch.Tensor | None,
    scaling: float,
    lse: torch.Tensor | None,
) -> torch.Tensor:
    """As `columns.column_sums`; weights `(Q, R)` are each query head's own.

    `lse (Q, R)` float32 saves the first of two passes.
    """
    query, key = query.contiguous(), key.contiguous()
    rows, (heads, stored, _) = query.shape[1], key.shape
    place = positions.to(query.device, torch.int32)
    heavy = torch.ones(rows) if weights is None else weights
    heavy = heavy.to(query.device, torch.float32).contiguous()
    step = rows if heavy.dim() == 2 else 0
    if lse is None:
        lse = row_lse_triton(query, key, place, scaling)
    starts = torch.arange(0, stored, COLUMNS, device=query.device, dtype=torch.int32)
    first_rows = torch.searchsorted(place, starts).to(torch.int32)
    sums = torch.empty(heads, stored, device=query.device, dtype=torch.float32)
    _column_sums[(len(starts), heads)](
        query, key, place, heavy, step, lse.contiguous(), first_rows, sums, rows, stored, scaling,
        **_shape(query, key),
    )  # fmt: skip
    return sums


def row_lse_triton(
    query: torch.Tensor, key: torch.Tensor, positions: torch.Tensor, scaling: float
) -> torch.Tensor:
    """As `columns.row_lse`."""
    query, key = query.contiguous(), key.contiguous()
    query_heads, rows, _ = query.shape
    place = positions.to(query.device, torch.int32)
    lse = torch.empty(query_heads, rows, device=query.device, dtype=torch.float32)
    grid = (triton.cdiv(rows, ROWS), query_heads)
    _row_lse[grid](query, key, place, lse, rows, key.shape[1], scaling, **_shape(query, key))
    return lse


def _shape(query: torch.Tensor, key: torch.Tensor) -> dict[str, int]:
    width = query.shape[2]
    return {
        "GROUP": query.shape[0] // key.shape[0],
        "D": width,
        "BD": max(16, triton.next_power_of_2(width)),
        "BM": ROWS,
        "BN": COLUMNS,
    }
