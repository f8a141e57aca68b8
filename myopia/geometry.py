"""A layout's positions as tensors, made once per layout and shared: nobody may write into them.

Rows ask for them in every layer, and a list of 28,000 positions takes milliseconds to convert.
"""

from functools import lru_cache

import torch

from myopia.layout import Layout

# A few rows are read at a time; 28,000 positions are 224 KB.
LAYOUTS_REMEMBERED = 32


@lru_cache(LAYOUTS_REMEMBERED)
def image_positions(layout: Layout) -> torch.Tensor:
    """Positions of all image tokens, ascending, `(N,)` int64 on the CPU."""
    return torch.tensor(layout.image_positions(), dtype=torch.long)


@lru_cache(LAYOUTS_REMEMBERED)
def image_index(layout: Layout) -> torch.Tensor:
    """The image of each of those tokens, `(N,)` int64 on the CPU."""
    return torch.tensor(layout.image_of(), dtype=torch.long)


@lru_cache(LAYOUTS_REMEMBERED)
def image_lengths(layout: Layout) -> torch.Tensor:
    """Tokens of each image, `(M,)` int64 on the CPU."""
    return torch.tensor([span.length for span in layout.spans], dtype=torch.long)


@lru_cache(LAYOUTS_REMEMBERED)
def newline_mask(layout: Layout) -> torch.Tensor:
    """Which image tokens are row ends, `(N,)` bool on the CPU."""
    ends = {position for span in layout.spans for position in span.newline_positions()}
    return torch.tensor([position in ends for position in layout.image_positions()])


@lru_cache(LAYOUTS_REMEMBERED)
def image_offsets(layout: Layout) -> torch.Tensor:
    """Where each image begins among the image tokens, `(M,)` int64 on the CPU."""
    lengths = image_lengths(layout)
    return lengths.cumsum(0) - lengths
