"""Which image tokens survive: floors and quotas per image, newlines, then the best of the rest.

It gets scores and counts, and knows neither policy nor cache. Masks are over the image-token
axis; every choice (one per layer, or per layer and head) keeps the same number, and all choices
of a row are made at once.
"""

from dataclasses import dataclass

import torch

from myopia.allotment import share_out
from myopia.geometry import image_index, image_lengths, image_offsets, newline_mask
from myopia.layout import Layout
from myopia.ranking import ranks
from myopia.subsidy import image_sums, image_weights

# `quota` and `peaks`: an image's share is the sum of its scores to this power, so that many fair
# tokens outweigh one excellent one.
QUOTA_POWER = 0.5


@dataclass(frozen=True, slots=True)
class Rule:
    """How many tokens a choice keeps, how many of every image at least, what newlines are."""

    keep: int
    floor: int
    newlines: str


def select(scores: torch.Tensor, layout: Layout, rule: Rule) -> torch.Tensor:
    """Mask `(C, N)` bool of the kept tokens, exactly `rule.keep` in every choice.

    Floors come first, then newlines that are to be kept, then scores.
    """
    places = ranks(scores)
    worth = _with_newlines(-places, layout, rule.newlines)
    by_floor = worth if rule.newlines == "drop" else -places
    first = places_in_images(by_floor, layout) < rule.floor
    best = (worth + 4 * scores.shape[-1] * first).topk(rule.keep, sorted=False).indices
    return torch.zeros_like(first).scatter_(-1, best, True)


def root_sums(scores: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Images' shares `(C, M)` by scores `(C, N)`: sums of their square roots."""
    return image_sums(scores.clamp_min(0).pow(QUOTA_POWER), layout)


def select_by_shares(
    worth: torch.Tensor, shares: torch.Tensor, layout: Layout, rule: Rule, gamma: float
) -> torch.Tensor:
    """Mask `(C, N)`: every image gets tokens by its share `(C or 1, M)` and gamma, its own best.

    `worth (C, N)` orders the tokens of each image. What an image cannot fill goes to the others.
    """
    weights = torch.tensor(image_weights(layout, gamma), device=worth.device)
    wishes = (weights * shares.to(worth.device)).expand(len(worth), -1)
    limits = image_lengths(layout).to(worth.device).expand(wishes.shape)
    total = limits.new_full((len(worth),), rule.keep)
    quotas = share_out(wishes, total, torch.full_like(total, rule.floor), limits)
    order = _with_newlines(-ranks(worth), layout, rule.newlines)
    return best_of_images(order, layout, quotas)


def best_of_images(worth: torch.Tensor, layout: Layout, counts: torch.Tensor) -> torch.Tensor:
    """Mask `(C, N)` of each image's best tokens, `counts (C, M)` of them.

    `worth` are whole numbers, no two the same within a choice, none as far as 4 N from zero.
    """
    index = image_index(layout).to(worth.device)
    return places_in_images(worth, layout) < counts[:, index]


def places_in_images(worth: torch.Tensor, layout: Layout) -> torch.Tensor:
    """The place `(C, N)` that every token takes within its own image, 0 is best.

    `worth` as for `best_of_images`.
    """
    index = image_index(layout).to(worth.device)
    # One sort for all images: no worth reaches from one image's stretch of numbers into another's.
    order = (index * 8 * worth.shape[-1] - worth).argsort(dim=-1)
    along = torch.arange(worth.shape[-1], device=worth.device)
    places = (along - image_offsets(layout).to(worth.device)[index]).expand_as(order)
    return torch.empty_like(order).scatter_(-1, order, places)


def _with_newlines(worth: torch.Tensor, layout: Layout, newlines: str) -> torch.Tensor:
    """Worth (minus a rank) with the row-end tokens lifted above or sunk below all others."""
    if newlines == "score":
        return worth
    ends = newline_mask(layout).to(worth.device).long()
    return worth + (ends if newlines == "keep" else -ends) * 2 * worth.shape[-1]
