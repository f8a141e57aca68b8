"""Which rows of a chunk count for what, and how much: worked out once for all layers.

One pass over a row serves every kind of sum that it counts for. Nothing here knows queries, keys
or policies.
"""

from dataclasses import dataclass

import torch

from myopia.evidence import Needs
from myopia.layout import Layout
from myopia.sampling_plan import asking_rows, cumulative_rows

# Rows that count for nothing cost nothing more where the others are attended with their sums.
MOSTLY = 0.8
# So few rows are one pass, whatever they count for: reading the keys again costs more.
FEW_ROWS = 64


@dataclass(frozen=True, slots=True)
class Sight:
    """Rows of one chunk that are summed together."""

    kinds: tuple[str, ...]
    rows: torch.Tensor  # (R,) int64 positions, ascending
    inner: slice | torch.Tensor  # where they are within the chunk
    weights: torch.Tensor | None  # (kinds, R) float32; None: one kind, all rows count one


@dataclass(frozen=True, slots=True)
class Stretch:
    """Positions [start, stop) whose rows enter the columns in groups, as far as they count."""

    start: int
    stop: int
    counts: torch.Tensor  # (stop - start,) float32, 1 where a row counts, else 0


class Sights:
    """The plan of one prompt: kinds `columns`, `text` and `window`, as needed."""

    def __init__(self, layout: Layout, needs: Needs) -> None:
        wanted: list[tuple[str, torch.Tensor, torch.Tensor | float]] = []
        self._grouped = torch.empty(0, dtype=torch.long)
        if needs.columns:
            positions, self._grouped = cumulative_rows(layout)
            wanted.append(("columns", positions, 1.0))
        if needs.text:
            wanted.append(("text", *asking_rows(layout)))
        if needs.window:
            first = max(layout.length - needs.window, 0)
            wanted.append(("window", torch.arange(first, layout.length), 1.0))
        self.kinds = tuple(kind for kind, _, _ in wanted)
        weights = torch.zeros(len(wanted), layout.length)
        for kind, (_, positions, weight) in enumerate(wanted):
            weights[kind, positions] = weight
        self.rows = (weights > 0).any(0).nonzero()[:, 0]
        self.weights = weights[:, self.rows]
        self._chunk = (0, 0)
        self._sights: list[Sight] = []
        self._whole: tuple[tuple[int, int], Sight | None] = ((0, 0), None)
        self._stretch: tuple[tuple[int, int], Stretch | None] = ((0, 0), None)

    def of(self, start: int, stop: int) -> list[Sight]:
        """What to sum of positions [start, stop): rows of few kinds apart from those of more."""
        if self._chunk != (start, stop):
            self._chunk, self._sights = (start, stop), self._found(start, stop)
        return self._sights

    def grouped(self, start: int, stop: int) -> Stretch | None:
        """What of positions [start, stop) is summed in groups; None where nothing is."""
        if self._stretch[0] != (start, stop):
            low, high = torch.searchsorted(self._grouped, torch.tensor([start, stop])).tolist()
            rows, found = self._grouped[low:high], None
            if len(rows):
                first, last = int(rows[0]), int(rows[-1]) + 1
                counts = torch.zeros(last - first)
                counts[rows - first] = 1
                found = Stretch(first, last, counts)
            self._stretch = ((start, stop), found)
        return self._stretch[1]

    def whole(self, start: int, stop: int) -> Sight | None:
        """The chunk's every row as one sight, where nearly all of them count; else None."""
        if self._whole[0] != (start, stop):
            low, high = torch.searchsorted(self.rows, torch.tensor([start, stop])).tolist()
            sight = None
            mostly = high - low >= MOSTLY * (stop - start) and high > low
            if mostly and self.grouped(start, stop) is None:
                weights = torch.zeros(len(self.kinds), stop - start)
                weights[:, self.rows[low:high] - start] = self.weights[:, low:high]
                counting = (weights > 0).any(1)
                kinds = tuple(k for k, one in zip(self.kinds, counting, strict=True) if one)
                plain = len(kinds) == 1 and bool((weights[counting] == 1).all())
                rows = torch.arange(start, stop)
                own = None if plain else weights[counting]
                sight = Sight(kinds, rows, slice(0, stop - start), own)
            self._whole = ((start, stop), sight)
        return self._whole[1]

    def _found(self, start: int, stop: int) -> list[Sight]:
        low, high = torch.searchsorted(self.rows, torch.tensor([start, stop])).tolist()
        counts = self.weights[:, low:high] > 0
        if low == high:
            return []
        # Rows where another kind begins or ends to count: few, and the rows between them alike.
        changes = (counts[:, 1:] != counts[:, :-1]).any(0).nonzero()[:, 0] + 1
        kinds = counts.any(1).nonzero()[:, 0].tolist()
        if len(kinds) == 1 or len(changes) == 0 or high - low <= FEW_ROWS:
            return [self._sight(low, high, start)]
        split = low + int(changes[0])
        return [self._sight(low, split, start), self._sight(split, high, start)]

    def _sight(self, low: int, high: int, start: int) -> Sight:
        """Rows `low` to `high` of the plan as one pass."""
        rows, weights = self.rows[low:high], self.weights[:, low:high]
        counting = (weights > 0).any(1)
        kinds = tuple(k for k, counts in zip(self.kinds, counting.tolist(), strict=True) if counts)
        weights = weights[counting]
        first, inner = int(rows[0]) - start, rows - start
        dense = int(rows[-1]) - int(rows[0]) + 1 == len(rows)
        plain = len(kinds) == 1 and bool((weights == 1).all())
        return Sight(
            kinds,
            rows,
            slice(first, first + len(rows)) if dense else inner,
            None if plain else weights,
        )
