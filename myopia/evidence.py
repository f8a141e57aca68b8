"""What a policy may look at: sums of attention rows over the image tokens of one layer of one row.

Every tensor has the image tokens of `Layout.image_positions` as its last axis, N long, and the
key heads first (each the mean over its query heads). Softmax ran over the whole visible row, so
what text received is missing from the sums. Nothing here knows how rows were computed.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True)
class Needs:
    """Which rows a policy must see; everything left False or 0 costs nothing."""

    columns: bool = False  # every row of the prompt
    text: bool = False  # the rows after the last image that ask
    window: int = 0  # the last rows of the prompt
    elite: bool = False  # the asking rows that the last row looks at
    sparsity: bool = False  # how few entries of the asking rows matter


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen in one layer; a field is None where `Needs` did not name it."""

    layer: int
    layers: int
    columns: torch.Tensor | None = None  # (H, N) sum over all rows
    text: torch.Tensor | None = None  # (H, N) sum over `Layout.text_rows`
    window: torch.Tensor | None = None  # (H, N) sum over the last rows
    elite: torch.Tensor | None = None  # (1, N) mean of image-only softmax over elite rows
    sparsity: float | None = None  # fraction of entries below 1 % of their row's maximum

    def mass(self) -> torch.Tensor | None:
        """Attention mass (H or 1, N) as far as anything was seen, the broadest rows first."""
        for seen in (self.columns, self.text, self.window, self.elite):
            if seen is not None:
                return seen
        return None


def require(seen: torch.Tensor | None, name: str) -> torch.Tensor:
    """Return the evidence a policy declared; its absence is a fault of ours."""
    if seen is None:
        raise AssertionError(f"the observer was not asked for {name}")
    return seen


def unit_mass(scores: torch.Tensor) -> torch.Tensor:
    """Scale non-negative scores (…, N) to sum to one; all zeros become uniform."""
    total = scores.sum(-1, keepdim=True)
    even = torch.full_like(scores, 1.0 / max(scores.shape[-1], 1))
    return torch.where(total > 0, scores / total.clamp_min(torch.finfo(scores.dtype).tiny), even)
