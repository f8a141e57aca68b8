"""Exact sums of attention columns, without ever holding an attention matrix.

On a CPU (and as the reference) rows are taken in chunks; on CUDA one fused kernel does it
(`columns_triton`). Nothing here knows images, policies or layers.
"""

from functools import lru_cache

import torch

# Bytes of float32 logits that one piece may take. On one core, 45 rows of 12 heads and 8293 tokens:
# 28 ms with 2 MiB, 41 with 8, 63 with 16 (each large piece is new memory, page by page).
PIECE_BYTES = 2 * 2**20
GPU_PIECE_BYTES = 256 * 2**20
PIECE_ROWS = 64  # fewer rows make thin products; heads are taken apart before rows are


def visible_logits(
    query: torch.Tensor, key: torch.Tensor, positions: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Causal logits `(H, G, R, S)` float32 of rows standing at ascending `positions (R,)`.

    query `(Q, R, D)`, key `(H, S, D)` from position 0; hidden entries are -inf.
    """
    heads, stored, width = key.shape
    grouped = (query.float() * scaling).reshape(heads, -1, width)  # (H, G·R, D)
    logits = torch.matmul(grouped, key.float().transpose(1, 2))
    logits = logits.view(heads, query.shape[0] // heads, query.shape[1], stored)
    first = int(positions[0]) + 1
    if first < stored:  # every row sees the columns before `first`
        logits[..., first:].masked_fill_(_hidden(positions, stored, key.device), float("-inf"))
    return logits


def _hidden(positions: torch.Tensor, stored: int, device: torch.device) -> torch.Tensor:
    """Which columns from the second that row 0 may not see are hidden: `(R, S - first - 1)`."""
    first = int(positions[0]) + 1
    rows = len(positions)
    if int(positions[-1]) + 1 == stored == first + rows - 1:
        return _above(rows, device)
    later = torch.arange(first, stored, device=device)
    return later[None, :] > positions.to(device)[:, None]


@lru_cache(8)
def _above(rows: int, device: torch.device) -> torch.Tensor:
    """As `_hidden` for R neighbouring rows of which the last sees every column: `(R, R - 1)`."""
    return torch.ones(rows, rows - 1, dtype=torch.bool, device=device).triu(0)


def pieces(query: torch.Tensor, heads: int, stored: int) -> tuple[int, int]:
    """Rows, and key heads, that one piece of query `(Q, R, D)` may take."""
    room = (GPU_PIECE_BYTES if query.is_cuda else PIECE_BYTES) // (4 * stored)  # rows of one head
    groups, rows = query.shape[0] // heads, min(query.shape[1], PIECE_ROWS)
    if groups * rows > room:
        return max(1, room // groups), 1
    return rows, max(1, min(heads, room // (groups * rows)))


def column_sums(
    query: torch.Tensor,
    key: torch.Tensor,
    positions: torch.Tensor,
    weights: torch.Tensor | None,
    scaling: float,
) -> torch.Tensor:
    """Sum over rows of causal attention, mean over each key head's query heads: `(H, S)` float32.

    query `(Q, R, D)` of the rows at ascending `positions (R,)`, key `(H, S, D)`; `weights (R,)`
    multiplies rows (None: all one).
    """
    each = None if weights is None else weights[None]
    return weighted_sums(query, key, positions, each, scaling)[0]


def weighted_sums(
    query: torch.Tensor,
    key: torch.Tensor,
    positions: torch.Tensor,
    weights: torch.Tensor | None,
    scaling: float,
) -> torch.Tensor:
    """Several sums of the same rows at the price of one: `(W, H, S)` for weights `(W, R)`.

    Otherwise as `column_sums`; without weights W is 1.
    """
    heads, stored, _ = key.shape
    groups = query.shape[0] // heads
    kinds = 1 if weights is None else len(weights)
    sums = torch.zeros(heads, kinds, stored, device=key.device)
    rows, together = pieces(query, heads, stored)
    key = key.float()  # once, not per piece
    for head in range(0, heads, together):
        own = query[head * groups : (head + together) * groups]
        goal = sums[head : head + together]
        for begin in range(0, query.shape[1], rows):
            here = positions[begin : begin + rows]
            seen = int(here[-1]) + 1
            keys = key[head : head + together, :seen]
            attention = visible_logits(own[:, begin : begin + rows], keys, here, scaling)
            attention = torch.softmax(attention, dim=-1)
            if weights is None:
                goal[:, 0, :seen] += attention.sum(dim=(1, 2)) / groups
                continue
            heavy = weights[:, begin : begin + rows].to(attention.device).repeat(1, groups)
            goal[..., :seen] += (heavy / groups) @ attention.flatten(1, 2)
    return sums.transpose(0, 1)


def row_lse(
    query: torch.Tensor, key: torch.Tensor, positions: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Log-sum-exp `(Q, R)` float32 of causal logits, for who has none from its attention kernel."""
    heads, stored, _ = key.shape
    groups = query.shape[0] // heads
    found = torch.empty(query.shape[:2], device=key.device)
    rows, together = pieces(query, heads, stored)
    key = key.float()
    for head in range(0, heads, together):
        own = slice(head * groups, (head + together) * groups)
        for begin in range(0, query.shape[1], rows):
            here = positions[begin : begin + rows]
            keys = key[head : head + together, : int(here[-1]) + 1]
            logits = visible_logits(query[own, begin : begin + rows], keys, here, scaling)
            found[own, begin : begin + rows] = logits.logsumexp(-1).flatten(0, 1)
    return found


def attend_and_sum(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    weights: torch.Tensor | None,
    scaling: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Causal attention `(Q, T, D)` of a prompt's last T rows, and their `weighted_sums`.

    query `(Q, T, D)`, key and value `(H, S, D)`, float32; where every row is summed anyway, its
    weights need not be computed twice (on one core a third less than SDPA and the sums apart).
    """
    heads, stored, width = key.shape
    groups, tokens = query.shape[0] // heads, query.shape[1]
    kinds = 1 if weights is None else len(weights)
    sums = torch.zeros(heads, kinds, stored, device=key.device)
    attended = torch.empty(heads, groups, tokens, width, device=key.device)
    grouped = (query * scaling).view(heads, groups, tokens, width)
    positions = torch.arange(stored - tokens, stored)
    rows, together = pieces(query, heads, stored)
    for head in range(0, heads, together):
        own = slice(head, head + together)
        for begin in range(0, tokens, rows):
            stop = min(tokens, begin + rows)
            seen = stored - tokens + stop
            logits = grouped[own, :, begin:stop].flatten(1, 2) @ key[own, :seen].transpose(1, 2)
            by_row = logits.view(-1, groups, stop - begin, seen)
            later = by_row[..., seen - (stop - begin) + 1 :]
            later.masked_fill_(_hidden(positions[begin:stop], seen, key.device), float("-inf"))
            shares = torch.softmax(logits, dim=-1)
            if weights is None:
                sums[own, 0, :seen] += shares.sum(1) / groups
            else:
                heavy = weights[:, begin:stop].to(key.device).repeat(1, groups) / groups
                sums[own, :, :seen] += heavy @ shares
            mixed = shares @ value[own, :seen]
            attended[own, :, begin:stop] = mixed.view(-1, groups, stop - begin, width)
    return attended.view(-1, tokens, width), sums.transpose(0, 1)
