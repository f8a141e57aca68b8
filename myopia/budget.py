"""Counts: how many image tokens and bins each layer may hold. Integers only.

Nothing here knows scores, keys or which tokens are chosen.
"""

import math
from collections.abc import Sequence

import torch

from myopia import allotment
from myopia.allotment import ROUNDING, Bounds
from myopia.errors import BadRequest
from myopia.layout import Layout
from myopia.params import Pruning
from myopia.policies import DEFAULTS, policy_of, refuse_idle_knobs
from myopia.policies.pyramidkv import pyramid
from myopia.subsidy import FORMS

# Bins may take this part of what a layer holds, so that whole tokens stay the rule.
LARGEST_BIN_PART = 0.25


def image_quota(layout: Layout, pruning: Pruning) -> int:
    """Image tokens per layer that the budget pays for, bins included."""
    if pruning.budget_scope == "visual":
        return math.ceil(pruning.budget * layout.image_tokens - ROUNDING)
    text = layout.length - layout.image_tokens
    return max(0, math.ceil(pruning.budget * layout.length - ROUNDING) - text)


def prunes(layout: Layout, pruning: Pruning) -> bool:
    """Whether anything of this row will be dropped."""
    if pruning.policy == "full" or pruning.budget >= 1 or not layout.spans:
        return False
    return max(image_quota(layout, pruning), least_kept(layout)) < layout.image_tokens


def least_kept(layout: Layout) -> int:
    """One token of every image survives every budget."""
    return sum(1 for span in layout.spans if span.length)


def layer_quotas(
    layout: Layout, pruning: Pruning, layers: int, wishes: Sequence[float] | None
) -> list[int]:
    """Image tokens of every layer, bins included; `wishes` are the policy's own sizes."""
    quota = image_quota(layout, pruning)
    if pruning.layer_budgets == "uniform" or (pruning.layer_budgets == "policy" and wishes is None):
        return [quota] * layers
    if pruning.layer_budgets == "pyramid":
        wishes = pyramid(layers, quota * layers)
    assert wishes is not None
    return allot(wishes, quota * layers, least_kept(layout), layout.image_tokens)


def split_quota(quota: int, layout: Layout, pruning: Pruning) -> tuple[int, int]:
    """Whole tokens to keep, and bins beside them, of one layer's quota."""
    bins = 0
    if pruning.bin_mode != "off" and "bin_tokens" in policy_of(pruning).knobs:
        bins = min(pruning.bin_tokens, math.floor(LARGEST_BIN_PART * quota))
    kept = min(max(quota - bins, least_kept(layout)), layout.image_tokens)
    return kept, min(bins, layout.image_tokens - kept)


def image_floor(kept: int, layout: Layout, pruning: Pruning) -> int:
    """Tokens that every image keeps whatever its scores, at least one.

    At most half of `kept` goes to floors: a floor that took all would be no scoring at all.
    """
    asked = pruning.min_per_image if "min_per_image" in policy_of(pruning).knobs else 1
    return max(1, min(asked, kept // (2 * max(1, len(layout.spans)))))


def allot(wishes: Sequence[float], total: int, low: int, high: int) -> list[int]:
    """Whole numbers in [low, high] that sum to `total` and follow `wishes` in proportion.

    Where the bounds make `total` impossible, the nearest possible sum. Of equal remainders the
    earlier gets the unit.
    """
    bounds = Bounds(*(torch.tensor([count]) for count in (total, low, high)))
    wished = torch.tensor([list(wishes)], dtype=torch.float64)
    shares = allotment.allot(wished, bounds, torch.ones(1, len(wishes), dtype=torch.bool))
    return [int(share) for share in shares[0].tolist()]


def check(pruning: Pruning, layout: Layout | None = None) -> None:
    """BadRequest naming the field where the knobs make no sense, alone or for this prompt."""
    refuse_idle_knobs(pruning)
    if pruning.subsidy not in FORMS:
        raise BadRequest(f"subsidy must be one of {', '.join(FORMS)}", field="/pruning/subsidy")
    if layout is None or not prunes(layout, pruning):
        return
    quota = image_quota(layout, pruning)
    named = pruning.bin_tokens != DEFAULTS["bin_tokens"] and pruning.bin_mode != "off"
    if named and pruning.bin_tokens > quota:
        raise BadRequest(
            f"bin_tokens is above the {quota} image tokens per layer that the budget pays for; "
            "ask for fewer bins or a larger budget",
            field="/pruning/bin_tokens",
            limit=quota,
            actual=pruning.bin_tokens,
        )
