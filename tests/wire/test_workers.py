"""The registry: who is live, who takes asks, and what the fleet's numbers say."""

import asyncio
import time

from wire.settings import WireSettings
from wire.store import AsyncStore, Store
from wire.workers import AsyncFleet, Card, Fleet, Heartbeat


def card(worker_id: str, **fields: object) -> Card:
    whole = {"worker_id": worker_id, "model": "m", "revision": "r", "capacity": 4, "running": 0}
    return Card.model_validate({**whole, **fields})


def test_cards_come_and_go(wire_settings: WireSettings) -> None:
    settings = wire_settings.model_copy(update={"heartbeat_ttl_seconds": 0.5})
    store = Store(settings)
    heart = Heartbeat(store)
    heart.beat(card("a", facts={"context": 4096}))
    heart.beat(card("b"))
    assert {c.worker_id for c in heart.live().cards} == {"a", "b"}
    heart.leave("b")
    assert heart.live().cards == (card("a", facts={"context": 4096}),)
    time.sleep(0.6)
    assert heart.live().cards == ()
    heart.beat(card("c"))
    assert store.text.zcard("myopia:workers") == 1
    store.close()


def test_the_gateway_s_view(wire_settings: WireSettings, store: Store) -> None:
    Heartbeat(store).beat(card("a"))

    async def story() -> Fleet:
        there = AsyncStore(wire_settings)
        try:
            return await AsyncFleet(there).live()
        finally:
            await there.close()

    assert asyncio.run(story()).cards == (card("a"),)


def test_who_takes_asks() -> None:
    busy, free = card("a", running=4), card("b", running=1)
    draining, stuck = card("c", draining=True), card("d", tick_age_seconds=60)
    assert Fleet((busy, free, draining, stuck), 0).takers == (busy, free)
    assert Fleet((busy, free), 0).slots == 8
    waiting = card("e", idle_seconds=2)
    assert Fleet((busy, waiting), 0).idle
    assert not Fleet((busy, free, draining), 0).idle
    assert Fleet((busy,), 0).is_ready
    assert not Fleet((draining, stuck), 0).is_ready
    assert not Fleet((), 0).is_ready


def test_a_mixed_fleet_has_no_one_revision() -> None:
    one, two = card("a"), card("b", revision="s")
    assert Fleet((one,), 0).revision == "r"
    assert Fleet((one, two), 0).revision is None
    assert Fleet((one, two), 0).model == "m"
    assert Fleet((), 0).revision is None
    assert Fleet((), 0).facts == {}
