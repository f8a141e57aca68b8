"""What seconds are: this process's own processor time, or the wall's.

On a machine that others use as well, wall time measures the others. With one thread processor time
is what an idle machine's wall would show. Chosen once, by the command line.
"""

import time
from typing import Literal

Kind = Literal["cpu", "wall"]
_CLOCKS = {"cpu": time.process_time, "wall": time.perf_counter}
_chosen: list[Kind] = ["wall"]


def choose(kind: Kind) -> None:
    """Measure by this clock from now on."""
    _chosen[0] = kind


def now() -> float:
    """Seconds since some moment."""
    return _CLOCKS[_chosen[0]]()
