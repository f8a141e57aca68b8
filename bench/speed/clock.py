"""What seconds are: this process's own processor time, or the wall's.

On a machine that others use as well, wall time measures the others. With one thread processor time
is what an idle machine's wall would show. Chosen once, by the command line.
"""

import time
from collections.abc import Iterator
from typing import Literal

Kind = Literal["cpu", "wall"]
_CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}
_chosen: list[Kind] = ["wall"]


def choose(kind: Kind) -> None:
    """Measure by this clock from now on."""
    _chosen[0] = kind


def chosen() -> Kind:
    """By which clock is measured."""
    return _chosen[0]


def now() -> float:
    """Seconds since some moment."""
    return _CLOCKS[_chosen[0]]()


class Patience:
    """So many minutes of wall time; what is not begun by then is left out."""

    def __init__(self, minutes: float, began: float | None = None) -> None:
        self._began = time.perf_counter() if began is None else began
        self._until = self._began + 60 * minutes

    def until(self, minutes: float) -> "Patience":
        """Another bound of the same beginning."""
        return Patience(minutes, self._began)

    @property
    def is_over(self) -> bool:
        """Whether nothing more should be begun."""
        return time.perf_counter() >= self._until

    def rounds(self, most: int) -> Iterator[int]:
        """Numbers of rounds: one at least, `most` at most, none begun once time is up."""
        for number in range(most):
            if number and self.is_over:
                return
            yield number
