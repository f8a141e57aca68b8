"""How far a token is from everything better than it: an order in which no object is kept twice.

Attention finds one object with many tokens, base and tile alike, and the best few of a picture are
then one thing seen several times. Score times this distance, as density peaks rank cluster centres,
takes one token of every thing first.
Source: Rodriguez and Laio, "Clustering by fast search and find of density peaks" (Science 2014),
with attention for their density and the cosine of rotated keys for their distance.
Nothing here knows budgets, policies or how many are kept.
"""

from functools import lru_cache

import torch

from myopia.geometry import image_index, image_lengths, image_offsets
from myopia.layout import Layout
from myopia.ranking import ranks
from myopia.selection import places_in_images

# Cosines worked on at once, in numbers: 64 MB in float32.
COSINES_TOGETHER = 2**24
# Keys of all heads are projected at random to this many numbers where they are more: distances
# keep their ratios to about sqrt(2 / SKETCH) (Johnson and Lindenstrauss 1984), an eighth here.
SKETCH = 128


@lru_cache(maxsize=8)
def _directions(width: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """`(width, SKETCH)` normal numbers of variance 1 / SKETCH, always the same ones."""
    chance = torch.Generator().manual_seed(width)
    directions: torch.Tensor = torch.randn(width, SKETCH, generator=chance) * SKETCH**-0.5
    return directions.to(device, dtype)


def novelty(keys: torch.Tensor, scores: torch.Tensor, layout: Layout) -> torch.Tensor:
    """1 minus the greatest cosine to a better token of the same image, `(C, N)` in [0, 1].

    Keys `(C, h, N, D)` of the image tokens, cosines their mean over the h heads; scores `(C, N)`.
    An image's best token has 1, and so has one whose cosines to all better ones are negative.
    Products are taken in the keys' own dtype, of all h D numbers where they are at most SKETCH
    and of SKETCH random projections of them otherwise: .6 TFLOP for eight pictures of 2928 tokens
    in a model of 32 layers.
    """
    index = image_index(layout).to(keys.device)
    offsets, lengths = image_offsets(layout).tolist(), image_lengths(layout).tolist()
    longest = max(lengths)
    places = places_in_images(-ranks(scores), layout)
    novel = torch.empty_like(scores)
    together = max(1, COSINES_TOGETHER // (len(scores) * longest**2))
    for first in range(0, len(lengths), together):
        last = min(first + together, len(lengths)) - 1
        own = slice(offsets[first], offsets[last] + lengths[last])
        units = torch.nn.functional.normalize(keys[:, :, own].float(), dim=-1).to(keys.dtype)
        units = units.transpose(1, 2).flatten(2)  # (C, n, h D): dot products sum over heads
        if units.shape[-1] > SKETCH:
            units = units @ _directions(units.shape[-1], units.device, units.dtype)
            # As long as before again: then the distances of near keys keep their ratios too.
            units = torch.nn.functional.normalize(units, dim=-1) * keys.shape[1] ** 0.5
        # A table of images by place, best first; places that a shorter image lacks hold zeros.
        seats = (index[own] - first) * longest + places[:, own]
        stretch = (last + 1 - first) * longest
        rows = seats + stretch * torch.arange(len(units), device=keys.device)[:, None]
        table = units.new_zeros(len(units) * stretch, units.shape[-1])
        table.index_copy_(0, rows.flatten(), units.flatten(0, 1))  # whole rows: faster
        table = table.view(len(units), -1, longest, units.shape[-1])
        alike = (table @ table.transpose(-1, -2)).tril_(-1)  # a row's better tokens, else 0
        nearest = alike.amax(-1).flatten(1).float() / keys.shape[1]
        novel[:, own] = 1 - nearest.gather(1, seats)
    return novel.clamp_(0.0, 1.0)
