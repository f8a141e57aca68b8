"""How many tokens a picture costs, from its size alone: LLaVA-NeXT's any-resolution arithmetic.

Height before width everywhere, as in the checkpoint's pinpoints. Nothing here knows pixels or
tensors; a test holds the numbers against the processor's and the model's own.
"""

from dataclasses import dataclass
from typing import Literal

from myopia.layout import Span

TilesUsed = Literal["base", "max"]


@dataclass(frozen=True, slots=True)
class Tiling:
    """A checkpoint's tile and patch edge in pixels, and the grids it may cut a picture into."""

    tile: int
    patch: int
    pinpoints: tuple[tuple[int, int], ...]

    @property
    def side(self) -> int:
        """Patches along one edge of a tile."""
        return self.tile // self.patch

    def best_pinpoint(self, height: int, width: int) -> tuple[int, int]:
        """The grid that keeps most of the picture's pixels, and wastes least among those.

        Source: transformers `select_best_resolution`, whose rounding decides ties.
        """
        best, kept, wasted = self.pinpoints[0], -1, 0
        for rows, columns in self.pinpoints:
            scale = min(columns / width, rows / height)
            useful = min(int(width * scale) * int(height * scale), width * height)
            waste = rows * columns - useful
            if useful > kept or (useful == kept and waste < wasted):
                best, kept, wasted = (rows, columns), useful, waste
        return best

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Rows and columns of patches left of the tiles once the padding is cut away.

        Either may be 0 for a sliver of a picture. Source: transformers `unpad_image`.
        """
        best_rows, best_columns = self.best_pinpoint(height, width)
        rows = best_rows // self.tile * self.side
        columns = best_columns // self.tile * self.side
        if width / height > columns / rows:
            inner = int(round(height * (columns / width), 7))
            rows -= (rows - inner) // 2 * 2
        else:
            inner = int(round(width * (rows / height), 7))
            columns -= (columns - inner) // 2 * 2
        return rows, columns

    def span(self, start: int, size: tuple[int, int], tiles: TilesUsed) -> Span:
        """The tokens of a picture of `size` (height, width) that begins at position `start`."""
        grid = (0, 0) if tiles == "base" else self.grid(*size)
        return Span(start, (self.side, self.side), grid)
