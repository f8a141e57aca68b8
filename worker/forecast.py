"""How long asks that run will still take, told from what this process has seen so far.

Steps and lengths are remembered a while; the middle one counts, since a few are always far off.
Nothing here knows an engine or why somebody asks.
"""

from collections import deque
from statistics import median

REMEMBERED = 64


class Forecast:
    """Fed by one thread, read by others."""

    def __init__(self) -> None:
        self._steps: deque[float] = deque(maxlen=REMEMBERED)
        self._lengths: deque[int] = deque(maxlen=REMEMBERED)
        self._prefills: deque[float] = deque(maxlen=REMEMBERED)

    def stepped(self, seconds: float) -> None:
        """A step that made tokens took so long."""
        self._steps.append(seconds)

    def finished(self, tokens: int, prefill_seconds: float) -> None:
        """An answer had so many tokens; its first took so long from its turn."""
        self._lengths.append(tokens)
        self._prefills.append(prefill_seconds)

    def seconds_left(self, made: int, most: int) -> float:
        """Until an answer of at most `most` tokens is done, of which `made` are.

        Of the answers seen here that were longer than `made`, the middle one says how many are to
        come; without such, as many as may.
        """
        longer = [length - made for length in tuple(self._lengths) if length > made]
        tokens = min(most - made, median(longer)) if longer else most - made
        prefill = 0.0 if made else _middle(tuple(self._prefills))
        return prefill + max(0.0, tokens) * _middle(tuple(self._steps))


def _middle(values: tuple[float, ...]) -> float:
    return median(values) if values else 0.0
