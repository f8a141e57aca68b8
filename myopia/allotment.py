"""Whole numbers that follow wishes in proportion, for many rows of wishes at once.

Tensors of counts in and out; nothing here knows what is being shared.
"""

from dataclasses import dataclass

import torch

# 0.1 * 30 is 3.0000000000000004 in binary, which must not become 4 tokens.
ROUNDING = 1e-9
LARGEST_WISH = 1e100  # an infinite wish is a very large one: sums must stay finite


@dataclass(frozen=True, slots=True)
class Bounds:
    """What each of C rows shares out, `(C,)` int64, and the least and most of one share."""

    total: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor


def allot(wishes: torch.Tensor, bounds: Bounds, among: torch.Tensor) -> torch.Tensor:
    """Shares `(C, M)` int64 in [low, high] of every row's total, in proportion to `(C, M)` wishes.

    Only members of the mask `among (C, M)` get any. Where the bounds make a total impossible, the
    nearest possible sum. Of equal remainders the earlier gets the unit.
    """
    low, high = bounds.low[:, None], bounds.high[:, None]
    count = among.sum(-1, keepdim=True)
    total = torch.maximum(low * count, torch.minimum(high * count, bounds.total[:, None]))
    shares = wishes.double().nan_to_num(0.0, posinf=LARGEST_WISH).clamp_min(0) * among
    shares = torch.where(shares.sum(-1, keepdim=True) > 0, shares, among.double())
    shares = (shares / shares.sum(-1, keepdim=True).clamp_min(1e-300) + 1e-12) * among
    exact = total * shares
    bound = (among & ((exact < low) | (exact > high))).any(-1, keepdim=True)
    if bool(bound.any()):
        level = _level(shares, total, low, high, among)
        clipped = torch.minimum(torch.maximum(level * shares, low.double()), high.double())
        exact = torch.where(bound, clipped * among, exact)
    sizes = (exact + ROUNDING).floor().long()
    order = (sizes - exact).masked_fill(~among, torch.inf).argsort(dim=-1, stable=True)
    missing = total - sizes.sum(-1, keepdim=True)
    while bool((missing > 0).any()):
        open_ = (among & (sizes < high)).gather(-1, order)
        units = (open_ & (open_.cumsum(-1) <= missing)).long()
        sizes = sizes.scatter_add(-1, order, units)
        missing = total - sizes.sum(-1, keepdim=True)
    return sizes


def _level(
    shares: torch.Tensor,
    total: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
    among: torch.Tensor,
) -> torch.Tensor:
    """The scale `(C, 1)` at which clipped shares sum to the total.

    The sum grows along straight lines between the scales at which a share leaves `low` or reaches
    `high`: the last such corner below the total is found, and the line followed from there.
    """
    leaves = torch.where(among, low / shares.clamp_min(1e-300), 0.0)
    reaches = torch.where(among, high / shares.clamp_min(1e-300), 0.0)
    corners = torch.cat([torch.zeros_like(leaves[:, :1]), leaves, reaches], dim=-1)
    scaled = corners[..., None] * shares[:, None]  # (C, 2M + 1, M)
    clipped = torch.minimum(torch.maximum(scaled, low[..., None]), high[..., None])
    sums = (clipped * among[:, None]).sum(-1)
    below = torch.where(sums <= total, corners, -1.0).argmax(-1, keepdim=True)
    corner = corners.gather(-1, below)
    rising = ((leaves <= corner) & (corner < reaches) & among) * shares
    slope = rising.sum(-1, keepdim=True)
    rest = total - sums.gather(-1, below)
    return torch.where(slope > 0, corner + rest / slope.clamp_min(1e-300), corner)


def share_out(
    wishes: torch.Tensor, total: torch.Tensor, floor: torch.Tensor, limits: torch.Tensor
) -> torch.Tensor:
    """Shares `(C, M)` of `total (C,)`, none above its limit `(C, M)`; each at least `floor (C,)`.

    Where floors ask for more than there is, they shrink evenly. What a member cannot take goes to
    the others, by their wishes. Nobody without a limit above zero gets anything.
    """
    shares, left = torch.zeros_like(limits), total
    among = limits > 0
    while bool(among.any()):
        count = among.sum(-1)
        low = torch.minimum(floor, left // count.clamp_min(1))
        sizes = allot(wishes, Bounds(left, low, left), among)
        over = among & (sizes > limits)
        done = ~over.any(-1, keepdim=True)
        shares = torch.where(among & done, sizes, torch.where(over, limits, shares))
        left = left - torch.where(over, limits, 0).sum(-1)
        among = among & ~over & ~done
    return shares
