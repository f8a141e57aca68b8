"""What is told of an ask while nothing comes of it yet: its place in line, and that it runs.

News for the event stream only: each is told once, and nothing at all of an ask that is taken up
at once. Where the numbers come from is the ledger's business, how they are framed `events`'.
"""

import time

from service.desk import Desk
from service.schema import Progress
from wire.errors import StoreUnavailable
from wire.records import Record

FIRST_LOOK_SECONDS = 0.2  # Whoever is taken up at once needs no place in line.
SOONEST_SECONDS, LATEST_SECONDS = 1.0, 10.0
# A look costs the server as much as there are keys in front, so that whoever is far back is told
# less often: at most 20 keys are counted per second and stream, beyond one look each second.
PLACES_PER_SECOND = 20


def progress_of(record: Record) -> Progress | None:
    """How far an open ask is; None of one that has ended."""
    if record.state not in ("queued", "running"):
        return None
    place = record.place
    return Progress(
        status=record.state,
        position=place.position if place else None,
        expected_wait_seconds=place.expected_wait_seconds if place else None,
    )


class Waiting:
    """Looks after one ask now and then, and remembers what was told of it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._told: Progress | None = None
        self._look_at = time.monotonic() + FIRST_LOOK_SECONDS

    @property
    def pause_seconds(self) -> float:
        """How long until there may be news."""
        return max(0.0, self._look_at - time.monotonic())

    async def news(self, ask_id: str) -> Progress | None:
        """What has changed since it was last told: a place in line, or that the waiting is over."""
        if self.pause_seconds > 0:
            return None
        try:
            record = await self._desk.record(ask_id)
        except StoreUnavailable:  # the stream itself says so, once its patience has ended
            record = None
        now = progress_of(record) if record else None
        position = (now.position if now else None) or 0
        pause = min(LATEST_SECONDS, max(SOONEST_SECONDS, position / PLACES_PER_SECOND))
        self._look_at = time.monotonic() + pause
        if now is None or now == self._told or (now.status == "running" and self._told is None):
            return None
        self._told = now
        return now
