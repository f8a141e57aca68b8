"""Looking for room says what letting in would say, and lets nobody in."""

import asyncio

import pytest

from tests.wire.asks import make_ask
from wire.ledger import AsyncLedger
from wire.records import Accepted, Refused, Room
from wire.settings import WireSettings
from wire.store import AsyncStore

ROOMS = {
    "open": Room(),
    "no slots": Room(slots=0, service_seconds=5),
    "all full": Room(max_open=3),
    "tenant full": Room(max_open_per_tenant=3),
    "line too long": Room(slots=1, service_seconds=30),
    "line fits": Room(slots=4, service_seconds=1),
    "patience too short": Room(slots=4, service_seconds=1, max_wait_seconds=0.1),
}


@pytest.mark.parametrize("name", list(ROOMS))
def test_a_look_says_what_entering_would(wire_settings: WireSettings, name: str) -> None:
    room = ROOMS[name]

    async def play() -> None:
        store = AsyncStore(wire_settings)
        ledger = AsyncLedger(store)
        for _ in range(3):
            assert isinstance(await ledger.submit(make_ask(), tenant="a"), Accepted)
        looked = await ledger.refusal("a", 60, room)
        assert (await ledger.counters()).accepted == 3
        entered = await ledger.submit(make_ask(timeout_seconds=60), tenant="a", room=room)
        if looked is None:
            assert isinstance(entered, Accepted)
        else:
            assert isinstance(entered, Refused)
            assert entered.reason == looked.reason
            assert entered.retry_after_seconds == pytest.approx(looked.retry_after_seconds, abs=0.5)
        await store.close()

    asyncio.run(play())


def test_the_rooms_above_differ(wire_settings: WireSettings) -> None:
    async def play() -> set[str | None]:
        store = AsyncStore(wire_settings)
        ledger = AsyncLedger(store)
        for _ in range(3):
            await ledger.submit(make_ask(), tenant="a")
        said = [await ledger.refusal("a", 60, room) for room in ROOMS.values()]
        await store.close()
        return {refused.reason if refused else None for refused in said}

    wanted = {None, "too_many_open", "too_many_of_tenant", "wait_too_long"}
    assert asyncio.run(play()) == wanted
