"""What a worker tells about itself, and what it does for all: its card, and the reaping.

Nothing here knows what an ask says.
"""

import time
from dataclasses import dataclass
from typing import Any

import structlog

from wire.errors import StoreUnavailable
from wire.ledger import Ledger
from wire.queue import Queue
from wire.workers import IDLE_SECONDS, Card, Heartbeat
from worker.drain import Drain
from worker.leases import Leases
from worker.runner import Runner
from worker.tally import Tally

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this worker is; does not change while it lives."""

    worker_id: str
    model: str
    revision: str
    facts: dict[str, Any]
    capacity: int
    started_at: float


class Vitals:
    """Beats and reaps; called by tickers and by the health port."""

    def __init__(
        self, identity: Identity, heartbeat: Heartbeat, runner: Runner, leases: Leases, drain: Drain
    ) -> None:
        self._identity, self._heartbeat = identity, heartbeat
        self._runner, self._leases, self._drain = runner, leases, drain
        self._beat_at = 0.0
        self._message_at = time.monotonic()

    @property
    def beat_age_seconds(self) -> float:
        """Time since the store last took the card."""
        return time.monotonic() - self._beat_at

    def beat(self) -> None:
        """Renew the card."""
        self._heartbeat.beat(
            Card(
                worker_id=self._identity.worker_id,
                model=self._identity.model,
                revision=self._identity.revision,
                facts=self._identity.facts,
                capacity=self._identity.capacity,
                running=len(self._leases.held),
                idle_seconds=self.idle_seconds,
                draining=self._drain.has_begun,
                tick_age_seconds=self._runner.tick_age_seconds,
                started_at=self._identity.started_at,
            )
        )
        self._beat_at = time.monotonic()

    def leave(self) -> None:
        """Take the card away; a store that is down forgets it by itself."""
        try:
            self._heartbeat.leave(self._identity.worker_id)
        except StoreUnavailable:
            return

    def note_message(self) -> None:
        """Remember that a message came just now."""
        self._message_at = time.monotonic()

    @property
    def idle_seconds(self) -> float:
        """How long a slot has been free here and no message came."""
        if self._drain.has_begun or len(self._leases.held) >= self._identity.capacity:
            return 0.0
        return time.monotonic() - self._message_at


class Reaper:
    """One process' part in the reaping that any process may do."""

    def __init__(self, ledger: Ledger, queue: Queue, vitals: Vitals, tally: Tally) -> None:
        self._ledger, self._queue, self._vitals, self._tally = ledger, queue, vitals, tally

    def reap(self) -> None:
        """Find what died and send what must be looked at again."""
        reaped = self._ledger.reap(idle=self._vitals.idle_seconds >= IDLE_SECONDS)
        self._tally.reaped(reaped)
        if reaped.resend or reaped.expired or reaped.dead:
            log.info(
                "reaped",
                lost_leases=reaped.lost_leases,
                lost_messages=reaped.lost_messages,
                expired=reaped.expired,
                dead=reaped.dead,
            )
        for ask_id in reaped.resend:
            self._queue.send(ask_id)
