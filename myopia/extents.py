"""Which stretches of a line of cells are taken: first fit, next to its like where possible.

Integers only. Nothing here knows what a cell holds or who holds it.
"""

from collections.abc import Iterator


class Extents:
    """Takes and gives back stretches of `cells` cells; `held` maps start to size."""

    def __init__(self, cells: int) -> None:
        self.cells = cells
        self.held: dict[int, int] = {}

    @property
    def free(self) -> int:
        """Cells that nobody holds."""
        return self.cells - sum(self.held.values())

    def take(self, size: int) -> int | None:
        """The start of a free stretch of `size`; None where no gap is long enough.

        A gap behind a stretch of the same size is preferred: equal neighbours decode together.
        """
        fitting = [(start, like) for start, room, like in self._gaps(size) if room >= size]
        if not fitting:
            return None
        start = next((start for start, like in fitting if like), fitting[0][0])
        self.held[start] = size
        return start

    def give(self, start: int) -> None:
        """Return a stretch; KeyError where nobody holds it."""
        del self.held[start]

    def packed(self) -> dict[int, int]:
        """Where every stretch would start if all moved down without gaps; old start → new."""
        moves, top = {}, 0
        for start in sorted(self.held):
            moves[start] = top
            top += self.held[start]
        return moves

    def pack(self) -> None:
        """Move all stretches as `packed` says; their cells' contents are the caller's to move."""
        moves = self.packed()
        self.held = {moves[start]: size for start, size in self.held.items()}

    def _gaps(self, size: int) -> Iterator[tuple[int, int, bool]]:
        """(start, length, whether it follows a stretch of `size`) of every gap, ascending."""
        top, like = 0, False
        for start in sorted(self.held):
            if start > top:
                yield top, start - top, like
            top, like = start + self.held[start], self.held[start] == size
        if self.cells > top:
            yield top, self.cells - top, like
