"""Who is there to work: one card per live worker, renewed by heartbeat, gone when it stops.

From the cards the gateway knows whether an ask would be taken up, by which model, and how soon.
Nothing here knows what an ask says.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from wire.calls import Call
from wire.pruning import Params
from wire.store import AsyncStore, Store

STALE_TICK_SECONDS = 30.0
"""An engine loop silent for longer is stuck; longer than any prefill that we measured."""

IDLE_SECONDS = 1.0
"""A worker with a free slot gets a message within milliseconds, if there is one."""


class Card(Params):
    """One live worker, as it describes itself."""

    worker_id: str
    model: str
    revision: str
    facts: dict[str, Any] = Field(
        default_factory=dict, description="What the checkpoint tells: context, tile size, …"
    )
    capacity: int = Field(ge=1, description="Asks that it works on at once.")
    running: int = Field(ge=0)
    idle_seconds: float = Field(
        0, ge=0, description="How long a slot has been free and no message came."
    )
    draining: bool = False
    tick_age_seconds: float = Field(0, ge=0, description="Since the engine's loop last turned.")
    started_at: float = 0

    @property
    def takes_asks(self) -> bool:
        """Whether an ask that comes now would be taken up."""
        return not self.draining and self.tick_age_seconds < STALE_TICK_SECONDS


@dataclass(frozen=True, slots=True)
class Fleet:
    """All live workers at one moment, and the moving average of their service time."""

    cards: tuple[Card, ...]
    service_seconds: float

    @property
    def takers(self) -> tuple[Card, ...]:
        """Workers that would take an ask up."""
        return tuple(card for card in self.cards if card.takes_asks)

    @property
    def is_ready(self) -> bool:
        """Whether an ask that comes now would be taken up by somebody."""
        return bool(self.takers)

    @property
    def slots(self) -> int:
        """Asks that the takers work on at once: pass it to `Room`."""
        return sum(card.capacity for card in self.takers)

    @property
    def idle(self) -> bool:
        """Whether a taker waits in vain for messages, so that overdue ones are lost: for `reap`."""
        return any(card.idle_seconds >= IDLE_SECONDS for card in self.takers)

    @property
    def model(self) -> str | None:
        """Name of the model that all takers run; None when there is none or they differ."""
        names = {card.model for card in self.takers}
        return names.pop() if len(names) == 1 else None

    @property
    def revision(self) -> str | None:
        """Revision that all takers run; None when there is none or they differ (no caching)."""
        revisions = {card.revision for card in self.takers}
        return revisions.pop() if len(revisions) == 1 else None

    @property
    def facts(self) -> dict[str, Any]:
        """Facts of the model, from any taker; empty without one."""
        takers = self.takers
        return dict(takers[0].facts) if takers else {}


def _beat(card: Card, ttl_seconds: float, calls: str) -> Call[bool]:
    slots = card.capacity if card.takes_asks else 0
    ttl = round(ttl_seconds * 1000)
    return Call("beat", (card.worker_id, ttl, card.model_dump_json(), slots, calls), bool)


def _live() -> Call[Fleet]:
    def read(reply: list[str]) -> Fleet:
        service_ms, *cards = reply
        return Fleet(tuple(map(Card.model_validate_json, cards)), float(service_ms) / 1000)

    return Call("live", (), read)


class Heartbeat:
    """A worker's own card in the registry."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def beat(self, card: Card) -> None:
        """Show the card for another `heartbeat_ttl_seconds`."""
        settings = self._store.settings
        self._store.run(_beat(card, settings.heartbeat_ttl_seconds, settings.calls_prefix))

    def leave(self, worker_id: str) -> None:
        """Take the card away at once."""
        calls = self._store.settings.calls_prefix
        self._store.run(Call("leave", (worker_id, calls), bool))

    def live(self) -> Fleet:
        """All live workers."""
        return self._store.run(_live())


class AsyncFleet:
    """The gateway's view of the registry."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store

    async def live(self) -> Fleet:
        """All live workers; one round trip, so keep the reply for a second if you call often."""
        return await self._store.run(_live())
