"""Where kept keys and values lie: one preallocated block, written in place, for all rows.

A cell is one token of one layer. A row holds one stretch of cells, its layers one after another,
each layer `(H, width, D)`; width is what survived plus room for the answer. The bias of bins
has a block of its own, which also hides what is not yet written: finfo.min there.
Nothing here knows why something is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from myopia.extents import Extents
from myopia.pruning import Survivors

# Rows of equal widths decode in one call; rounding widths up makes rows equal more often.
# 32 slots cost at most 10 % of a small row (300 slots) and 1 % of a large one.
WIDTH_STEP = 32


@dataclass(slots=True, eq=False)
class Place:
    """A row's cells: first cell, slots per layer, and how many of them are filled per layer."""

    start: int
    widths: tuple[int, ...]
    filled: list[int] = field(default_factory=list)
    biased: bool = False

    @property
    def cells(self) -> int:
        """Cells of all layers."""
        return sum(self.widths)


class Slots:
    """Keys, values and bias of all rows; `cells` is arithmetic: bytes over bytes per cell."""

    def __init__(
        self, cells: int, *, heads: int, width: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.heads = heads
        self.head_dim = width
        self.extents = Extents(cells)
        self.places: dict[int, Place] = {}
        # One cell more, that no row is ever given: rows that only fill a batch up write there.
        self.spare = cells
        total = (cells + 1) * heads
        # Zeros, not empty: a hidden slot's weight is 0, and 0 times NaN is NaN.
        # Values behind keys, so that one call writes both.
        self.stored = torch.zeros(2 * total, width, dtype=dtype, device=device)
        self.keys, self.values = self.stored[:total], self.stored[total:]
        self.hidden = torch.finfo(dtype).min
        self.bias = torch.full((total,), self.hidden, dtype=dtype, device=device)

    @property
    def cell_bytes(self) -> int:
        """Bytes of key and value of one cell."""
        return 2 * self.heads * self.head_dim * self.keys.dtype.itemsize

    def fits(self, cells: int) -> bool:
        """Whether a row of that many cells could be placed now, if need be by packing."""
        return cells <= self.extents.free

    def place(self, survivors: Sequence[Survivors], room: int) -> Place | None:
        """Copy a row's survivors in, with `room` slots per layer to grow; None: no cells left."""
        widths = tuple(stored_width(layer.keys.shape[1], room) for layer in survivors)
        start = self.extents.take(sum(widths))
        if start is None:
            if not self.fits(sum(widths)):
                return None
            self._pack()
            start = self.extents.take(sum(widths))
            assert start is not None
        place = Place(start, widths)
        self.places[start] = place
        for index, layer in enumerate(survivors):
            self._write(place, index, layer)
        return place

    def release(self, place: Place) -> None:
        """Give a row's cells back."""
        self.extents.give(place.start)
        del self.places[place.start]

    def origins_of(self, places: Sequence[Place]) -> torch.Tensor:
        """Where in the blocks every head's first slot lies: `(L, B, H)` int64, on the CPU."""
        first = [[0] * len(places) for _ in places[0].widths]
        for row, place in enumerate(places):
            cell = place.start
            for layer, width in enumerate(place.widths):
                first[layer][row] = cell * self.heads
                cell += width
        strides = torch.tensor([place.widths for place in places]).T[..., None]
        return torch.tensor(first)[..., None] + torch.arange(self.heads) * strides

    def layers_of(
        self, run: Sequence[Place], index: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Keys, values `(B, H, width, D)` and bias `(B, H, 1, width)` of one layer, as views.

        The places of a run are neighbours with equal widths.
        """
        first = run[0]
        width, stride = first.widths[index], first.cells * self.heads
        offset = (first.start + sum(first.widths[:index])) * self.heads
        size = (len(run), self.heads, width, self.head_dim)
        steps = (stride * self.head_dim, width * self.head_dim, self.head_dim, 1)
        keys = self.stored.as_strided(size, steps, offset * self.head_dim)
        values = self.stored.as_strided(size, steps, (offset + len(self.keys)) * self.head_dim)
        bias = self.bias.as_strided((len(run), self.heads, 1, width), (stride, width, 0, 1), offset)
        return keys, values, bias

    def _write(self, place: Place, index: int, layer: Survivors) -> None:
        kept = layer.keys.shape[1]
        keys, values, bias = self.layers_of([place], index)
        keys[0, :, :kept], values[0, :, :kept] = layer.keys, layer.values
        keys[0, :, kept:], values[0, :, kept:] = 0, 0
        bias[0, :, 0, :kept] = 0 if layer.bias is None else layer.bias.to(bias.dtype)
        bias[0, :, 0, kept:] = self.hidden
        place.filled.append(kept)
        place.biased |= layer.bias is not None

    def _pack(self) -> None:
        """Move all rows down until no gap is left; places learn their new starts."""
        moves = self.extents.packed()
        for old in sorted(moves):
            place, new = self.places.pop(old), moves[old]
            if new != old:
                for block in (self.keys, self.values, self.bias):
                    source = block[old * self.heads : (old + place.cells) * self.heads]
                    goal = block[new * self.heads : (new + place.cells) * self.heads]
                    goal.copy_(source.clone() if old < new + place.cells else source)
            place.start = new
            self.places[new] = place
        self.extents.pack()


def stored_width(kept: int, room: int) -> int:
    """Slots that a layer reserves for `kept` survivors and `room` tokens of answer."""
    return -(-(kept + room) // WIDTH_STEP) * WIDTH_STEP
