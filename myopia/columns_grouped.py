"""Column sums of many rows for the price of few: like rows of a block look as their mean does.

Within a block of neighbouring rows every pair is exact, by the rows' log-sum-exp. What a block's
rows give to the keys before it is exact in total, and is spread as the mean query of each group of
like rows spreads it. Nothing here knows images, policies or which rows are blocks.
Source: Vyas, Katharopoulos and Fleuret, "Fast Transformers with Clustered Attention" (NeurIPS
2020), section 3.2, for the groups' means; ours are per block, and what is near is exact.
"""

from dataclasses import dataclass

import torch

from myopia.columns import GPU_PIECE_BYTES, PIECE_BYTES, PIECE_ROWS
from myopia.columns_cuda import fused_column_sums, fused_is_possible


@dataclass(frozen=True, slots=True)
class Grouping:
    """How many neighbouring rows are a block, and how many groups a block has."""

    block: int
    groups: int


# What others cost, and what they would keep: docs/log/scores.md.
GROUPING = Grouping(64, 2)
# Part of the second cumulant that is added. Random rows want all of it, the pocket's a half.
SECOND_ORDER = 0.5


def grouped_sums(
    query: torch.Tensor,
    key: torch.Tensor,
    lse: torch.Tensor,
    counts: torch.Tensor,
    scaling: float,
    grouping: Grouping = GROUPING,
) -> torch.Tensor:
    """Sum of a prompt's last T rows of causal attention, as `columns.column_sums`: `(H, S)`.

    query `(Q, T, D)`, `lse (Q, T)` its log-sum-exp, key `(H, S, D)`; rows count by `counts (T,)`
    float32, 0 or 1. Exact within blocks (the last may be smaller), and in the sum over all keys
    before a block; how these share it is estimated.
    """
    tokens, first = query.shape[1], key.shape[1] - query.shape[1]
    sums = torch.zeros(key.shape[:2], device=key.device)
    key, counts = key.float(), counts.to(key.device)
    whole = tokens - tokens % grouping.block
    for begin, stop in ((0, whole), (whole, tokens)):
        if begin == stop:
            continue
        width = min(grouping.block, stop - begin)
        own, here = slice(begin, stop), slice(first + begin, first + stop)
        rows = _Rows(query[:, own], key[:, here], lse[:, own], counts[own].view(-1, width))
        near, groups = rows.read(scaling, grouping.groups)
        sums[:, here] += near
        before = torch.arange(first + begin - 1, first + stop - 1, width)
        before = before.repeat_interleave(grouping.groups)
        blind = int((before < 0).sum())  # a prompt's first rows have nothing before them
        if blind < len(before):
            sums += _far(groups.behind(blind), key, before[blind:])
    return sums


@dataclass(frozen=True, slots=True)
class _Groups:
    """Groups of like rows, R of them for every query head."""

    query: torch.Tensor  # (Q, R, D) their means, scaled as logits are
    spread: torch.Tensor  # (Q, R) variance within the group, mean over D
    mass: torch.Tensor  # (Q, R) what they give to the keys before their block

    def behind(self, first: int) -> "_Groups":
        """All but the first few."""
        return _Groups(self.query[:, first:], self.spread[:, first:], self.mass[:, first:])


def _far(groups: _Groups, key: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
    """The groups' masses spread over the keys up to positions `before (R,)`: `(H, S)`.

    The mean of exponentials is larger than the exponential of the mean, the more so the longer
    the key: by the second cumulant, were the group as wide in all directions.
    """
    heads, each = len(key), len(groups.query) // len(key)
    lengths = torch.linalg.vector_norm(key, dim=-1).square_()
    tilt = groups.spread * (SECOND_ORDER / 2)
    if fused_is_possible(groups.query):
        query = torch.cat([groups.query, tilt[..., None]], -1)
        key = torch.cat([key, lengths[..., None]], -1)
        return fused_column_sums(query, key, before, groups.mass, 1.0)
    sums = torch.zeros(key.shape[:2], device=key.device)
    query = groups.query.view(heads, each, -1, key.shape[2])
    tilt, mass = tilt.view(heads, each, -1), groups.mass.view(heads, each, -1) / each
    for begin in range(0, len(before), PIECE_ROWS):
        rows = slice(begin, begin + PIECE_ROWS)
        here = before[rows].to(key.device)
        first, seen = int(here[0]) + 1, int(here[-1]) + 1
        hidden = torch.arange(first, seen, device=key.device) > here[:, None]
        bias = torch.zeros(hidden.shape, device=key.device).masked_fill_(hidden, float("-inf"))
        together = max(1, PIECE_BYTES // (4 * each * len(here) * seen))
        for head in range(0, heads, together):
            own = slice(head, head + together)
            logits = query[own, :, rows].flatten(1, 2) @ key[own, :seen].transpose(1, 2)
            logits.addcmul_(tilt[own, :, rows].flatten(1)[..., None], lengths[own, None, :seen])
            logits.view(-1, each, len(here), seen)[..., first:] += bias
            shares = torch.softmax(logits, dim=-1)
            sums[own, :seen] += (mass[own, :, rows].flatten(1)[:, None] @ shares)[:, 0]
    return sums


@dataclass(frozen=True, slots=True)
class _Rows:
    """Neighbouring rows, B blocks of W, and the keys of the same positions."""

    query: torch.Tensor  # (Q, B·W, D)
    key: torch.Tensor  # (H, B·W, D) float32
    lse: torch.Tensor  # (Q, B·W)
    counts: torch.Tensor  # (B, W)

    def read(self, scaling: float, groups: int) -> tuple[torch.Tensor, _Groups]:
        """Sums within blocks `(H, B·W)`, and `groups` groups of every block."""
        width, heads = self.counts.shape[1], len(self.query)
        each = heads // len(self.key)
        near = torch.zeros(self.key.shape[:2], device=self.key.device)
        seen = self.counts[..., None] * torch.ones(width, width, device=near.device).tril()
        found = []
        room = GPU_PIECE_BYTES if self.query.is_cuda else PIECE_BYTES
        together = max(1, room // (4 * seen.numel()))
        for head in range(0, heads, together):
            own = slice(head, head + together)
            owners = torch.arange(heads, device=near.device)[own] // each
            rows = (self.query[own].float() * scaling).contiguous()
            keys = self.key[own] if each == 1 else self.key[owners]
            shape = (len(rows), -1, width, rows.shape[2])
            rows, keys = rows.view(shape), keys.view(shape)  # (Q', B, W, D)
            logits = rows @ keys.transpose(2, 3).contiguous()  # twice as fast so
            # No -inf: its exponential takes three times as long.
            logits.sub_(self.lse[own].view(*logits.shape[:3], 1)).clamp_max_(0)
            shares = logits.exp_().mul_(seen)
            near.index_add_(0, owners, shares.sum(2).flatten(1) / each)
            far = (self.counts - shares.sum(3)).clamp_min_(0)  # what is left for the keys before
            found.append(_grouped(rows, far, groups))
        parts = zip(*found, strict=True)
        return near, _Groups(*(torch.cat(part) for part in parts))


def _grouped(rows: torch.Tensor, far: torch.Tensor, groups: int) -> tuple[torch.Tensor, ...]:
    """Mean query `(Q, B·g, D)`, spread and mass `(Q, B·g)` of blocks' groups of like rows.

    Rows `(Q, B, W, D)` join the nearest of g rows that are evenly spread over their block; they
    count by what they give to the keys before it, `far (Q, B, W)`.
    """
    seeds = (torch.arange(groups, device=rows.device) * 2 + 1) * rows.shape[2] // (2 * groups)
    picked = rows[:, :, seeds]  # (Q, B, g, D)
    nearness = rows @ picked.transpose(2, 3) - picked.square().sum(-1)[:, :, None] / 2
    nearest = nearness.argmax(-1, keepdim=True)
    joined = torch.zeros_like(nearness).scatter_(-1, nearest, far[..., None])  # (Q, B, W, g)
    mass = joined.sum(2)
    divisor = mass.clamp_min(torch.finfo(torch.float32).tiny)
    means = joined.transpose(2, 3) @ rows / divisor[..., None]
    lengths = torch.linalg.vector_norm(rows, dim=-1).square_()[..., None]
    squares = (joined.transpose(2, 3) @ lengths)[..., 0] / divisor
    spread = (squares - means.square().sum(-1)).clamp_min_(0) / rows.shape[3]
    return means.flatten(1, 2), spread.flatten(1), mass.flatten(1)
