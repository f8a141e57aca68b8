"""Which image tokens survive: floors and quotas per image, newlines, then the best of the rest.

It gets scores and counts, and knows neither policy nor cache. Masks are over the image-token
axis, every head keeps the same number.
"""

from dataclasses import dataclass

import torch

from myopia.budget import allot
from myopia.geometry import newline_mask
from myopia.layout import Layout
from myopia.ranking import descending, ranks
from myopia.subsidy import image_sums, image_weights

# `quota`: an image's share is the sum of its scores to this power, so that many fair tokens
# outweigh one excellent one.
QUOTA_POWER = 0.5


@dataclass(frozen=True, slots=True)
class Rule:
    """How many tokens one layer keeps, how many of every image at least, what newlines are."""

    keep: int
    floor: int
    newlines: str


def select(scores: torch.Tensor, layout: Layout, rule: Rule) -> torch.Tensor:
    """Mask `(H, N)` bool of the kept tokens, exactly `rule.keep` in every head.

    Floors come first, then newlines that are to be kept, then scores.
    """
    tokens = scores.shape[-1]
    worth = _with_newlines(-ranks(scores), layout, rule.newlines, tokens)
    floors = [min(rule.floor, span.length) for span in layout.spans]
    by_floor = worth if rule.newlines == "drop" else -ranks(scores)
    first = _best_of_images(by_floor, layout, [floors] * scores.shape[0])
    return _best(worth + 4 * tokens * first.long(), rule.keep)


def select_by_quota(scores: torch.Tensor, layout: Layout, rule: Rule, gamma: float) -> torch.Tensor:
    """Mask `(H, N)`: every image gets a share by its scores and gamma, then its own best."""
    weights = torch.tensor(image_weights(layout, gamma), device=scores.device)
    wishes = weights * image_sums(scores.clamp_min(0).pow(QUOTA_POWER), layout)
    quotas = [_quotas(row, layout, rule) for row in wishes.tolist()]
    worth = _with_newlines(-ranks(scores), layout, rule.newlines, scores.shape[-1])
    return _best_of_images(worth, layout, quotas)


def _with_newlines(worth: torch.Tensor, layout: Layout, newlines: str, tokens: int) -> torch.Tensor:
    """Worth (minus a rank) with the row-end tokens lifted above or sunk below all others."""
    if newlines == "score":
        return worth
    ends = newline_mask(layout).to(worth.device).long()
    return worth + (ends if newlines == "keep" else -ends) * 2 * tokens


def _best(scores: torch.Tensor, keep: int) -> torch.Tensor:
    """Mask of the `keep` best of each head; of equals the earlier."""
    chosen = descending(scores)[..., :keep]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, chosen, True)


def _best_of_images(scores: torch.Tensor, layout: Layout, counts: list[list[int]]) -> torch.Tensor:
    """Mask of each image's best tokens, `counts[head][image]` of them."""
    heads = []
    lengths = [span.length for span in layout.spans]
    for row, wanted in zip(scores, counts, strict=True):
        parts = row.split(lengths)
        heads.append(torch.cat([_best(p[None], k)[0] for p, k in zip(parts, wanted, strict=True)]))
    return torch.stack(heads)


def _quotas(wishes: list[float], layout: Layout, rule: Rule) -> list[int]:
    """Whole quotas per image between the floor and the image's length, `rule.keep` together."""
    lengths = [span.length for span in layout.spans]
    fixed = dict.fromkeys(range(len(lengths)), 0)
    open_images = set(fixed)
    left = rule.keep
    while open_images:
        names = sorted(open_images)
        sizes = allot([wishes[m] for m in names], left, min(rule.floor, left // len(names)), left)
        over = [m for m, size in zip(names, sizes, strict=True) if size > lengths[m]]
        if not over:
            fixed.update(zip(names, sizes, strict=True))
            break
        for m in over:
            fixed[m] = lengths[m]
            left -= lengths[m]
            open_images.discard(m)
    return [fixed[m] for m in range(len(lengths))]
