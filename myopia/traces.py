"""What explaining needs to remember of a pruning, layer by layer; filled only when asked for.

Values only: nothing here computes or draws.
"""

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True, slots=True)
class LayerTrace:
    """One layer, heads averaged; N image tokens, M images."""

    kept: torch.Tensor  # (N,) float32, share of heads that kept the token
    before: tuple[float, ...] | None  # M shares of attention, None where nothing was seen
    after: tuple[float, ...] | None  # M shares of the subsidised scores; `quota`: of what is kept
    bin_sizes: tuple[int, ...]  # members of each bin (head mean, rounded, where heads differ)
    bin_images: tuple[int, ...]  # image of each bin's representative


@dataclass(slots=True)
class Trace:
    """All layers of one row, in order."""

    layers: list[LayerTrace] = field(default_factory=list)
