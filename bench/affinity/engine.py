"""An engine without a model that remembers albums as a real one does: the last few it has read.

Reading an album takes `read_seconds` of the loop's time, a step `step_seconds`. Deterministic but
for the clock; it says in each answer whether the album was remembered.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass

from myopia.params import Picture, Request
from myopia.report import CacheUse, Finished, Output, Timings, Usage

STEPS = 4


def album_of(request: Request) -> tuple[str, ...]:
    """The pictures of an ask in order, by their hashes."""
    return tuple(
        part.digest for turn in request.turns for part in turn.parts if isinstance(part, Picture)
    )


@dataclass(slots=True)
class Row:
    """An ask that is being answered."""

    remembered: bool
    made: int = 0
    cancelled: bool = False


class RememberingEngine:
    """Answers every ask in a few steps; keeps `most_albums`, and forgets the one longest unused."""

    def __init__(self, most_albums: int, read_seconds: float, step_seconds: float) -> None:
        self._most, self._read, self._step = most_albums, read_seconds, step_seconds
        self._albums: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._waiting: dict[str, Request] = {}
        self._rows: dict[str, Row] = {}

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""
        return bool(self._waiting or self._rows)

    def add(self, request: Request) -> None:
        """Take an ask in."""
        self._waiting[request.ask_id] = request

    def cancel(self, ask_id: str) -> None:
        """Let go of an ask with the next step."""
        if ask_id in self._waiting:
            self._rows[ask_id] = Row(remembered=False)
            del self._waiting[ask_id]
        if ask_id in self._rows:
            self._rows[ask_id].cancelled = True

    def step(self) -> list[Output]:
        """Read the albums of newcomers, then one step for all."""
        for ask_id, request in self._waiting.items():
            self._rows[ask_id] = Row(self._remember(album_of(request)))
        self._waiting.clear()
        time.sleep(self._step)
        outputs = [self._advance(ask_id, row) for ask_id, row in self._rows.items()]
        for output in outputs:
            if output.ends:
                del self._rows[output.ask_id]
        return outputs

    def _remember(self, album: tuple[str, ...]) -> bool:
        known = album in self._albums
        if not known:
            time.sleep(self._read)
        self._albums[album] = None
        self._albums.move_to_end(album)
        while len(self._albums) > self._most:
            self._albums.popitem(last=False)
        return known

    def _advance(self, ask_id: str, row: Row) -> Output:
        row.made += 1
        if row.made < STEPS and not row.cancelled:
            return Output(ask_id, text="a ", tokens=(0,))
        finished = Finished(
            reason="cancelled" if row.cancelled else "stop",
            answer="a " * (row.made - 1) + "b",
            usage=Usage(completion_tokens=row.made, budget_effective=1),
            cache=CacheUse(prefill="exact" if row.remembered else "none"),
            timings=Timings(),
        )
        return Output(ask_id, text="b", tokens=(0,), finished=finished)
