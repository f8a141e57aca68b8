"""Who waits, whose time is up, and who may enter: counts and deadlines, first come, first served.

Nothing here knows tensors, prompts or why an ask needs the cells it needs.
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Waiting:
    """An ask in the queue: cells it will need, and unix seconds after which nobody waits."""

    ask_id: str
    cells: int
    deadline: float | None


class Scheduler:
    """The queue in front of the slots."""

    def __init__(self, *, most_rows: int, cells: int) -> None:
        self.most_rows = most_rows
        self.cells = cells
        self._queue: OrderedDict[str, Waiting] = OrderedDict()

    def __len__(self) -> int:
        return len(self._queue)

    def __contains__(self, ask_id: str) -> bool:
        return ask_id in self._queue

    @property
    def first(self) -> str | None:
        """Who is next."""
        return next(iter(self._queue), None)

    def can_ever_hold(self, cells: int) -> bool:
        """Whether an ask of that size fits into empty slots."""
        return cells <= self.cells

    def enqueue(self, waiting: Waiting) -> None:
        """Put an ask at the end of the queue."""
        self._queue[waiting.ask_id] = waiting

    def drop(self, ask_id: str) -> bool:
        """Take an ask out of the queue; whether it was there."""
        return self._queue.pop(ask_id, None) is not None

    def expired(self, now: float) -> list[str]:
        """Asks in the queue whose deadline has passed."""
        return [
            one.ask_id
            for one in self._queue.values()
            if one.deadline is not None and one.deadline <= now
        ]

    def admit(self, *, rows: int, free_cells: int) -> str | None:
        """The first ask, if a row and its cells are free; nobody overtakes it."""
        if not self._queue or rows >= self.most_rows:
            return None
        first = next(iter(self._queue.values()))
        if first.cells > free_cells:
            return None
        self._queue.popitem(last=False)
        return first.ask_id
