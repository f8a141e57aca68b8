"""Whose turn it is, who is let in, and how the ledger keeps house, against a real Redis."""

import time

import pytest

from tests.redis_server import RedisServer
from tests.wire.asks import make_ask, make_done
from tests.wire.transitions import expire_lease, take
from wire import calls
from wire.errors import StoreUnavailable
from wire.ledger import Ledger
from wire.records import Accepted, Refused, Room
from wire.settings import WireSettings
from wire.store import Store


def test_tenants_take_turns(ledger: Ledger) -> None:
    heavy = [make_ask() for _ in range(6)]
    for ask in heavy:
        ledger.submit(ask, tenant="heavy")
    light = [make_ask() for _ in range(2)]
    for ask in light:
        ledger.submit(ask, tenant="light")
    order = [take(ledger).ask.ask_id for _ in range(8)]
    assert order.index(light[0].ask_id) <= 1
    assert order.index(light[1].ask_id) <= 3
    assert [i for i in order if i in {a.ask_id for a in heavy}] == [a.ask_id for a in heavy]


def test_one_who_comes_back_at_once_gets_no_extra_turns(ledger: Ledger) -> None:
    for _ in range(30):
        ledger.submit(make_ask(), tenant="heavy")
    served = {"heavy": 0, "quick": 0}
    for _ in range(20):
        ledger.submit(make_ask(), tenant="quick")
        claim = take(ledger)
        record = ledger.get(claim.ask.ask_id)
        assert record is not None
        served[record.tenant] += 1
    assert abs(served["heavy"] - served["quick"]) <= 2


def test_room_by_counts(ledger: Ledger) -> None:
    ledger.submit(make_ask(), tenant="a")
    full = ledger.submit(make_ask(), tenant="b", room=Room(max_open=1))
    assert isinstance(full, Refused)
    assert full.reason == "too_many_open"
    many = ledger.submit(make_ask(), tenant="a", room=Room(max_open_per_tenant=1))
    assert isinstance(many, Refused)
    assert many.reason == "too_many_of_tenant"
    assert isinstance(
        ledger.submit(make_ask(), tenant="b", room=Room(max_open_per_tenant=1)), Accepted
    )


def test_room_by_predicted_wait_refuses_the_heavy_and_not_the_light(ledger: Ledger) -> None:
    room = Room(slots=2, service_seconds=1, max_wait_seconds=5)
    waits = []
    while isinstance(reply := ledger.submit(make_ask(), tenant="heavy", room=room), Accepted):
        waits.append(reply.predicted_wait_seconds)
    assert waits == [0, 0, *(n / 2 for n in range(1, 7))]
    assert isinstance(reply, Refused)
    assert reply.reason == "wait_too_long"
    assert reply.retry_after_seconds == pytest.approx(0.5)
    light = ledger.submit(make_ask(), tenant="light", room=room)
    assert light == Accepted(light.ask_id, 0)  # type: ignore[union-attr]


def test_a_wait_longer_than_the_asker_has_is_refused(ledger: Ledger) -> None:
    room = Room(slots=1, service_seconds=10, max_wait_seconds=1000)
    ledger.submit(make_ask(), room=room)
    enough = 1.5 * 10 + 1.5 * 10
    reply = ledger.submit(make_ask(timeout_seconds=enough - 5), room=room)
    assert isinstance(reply, Refused)
    assert reply.reason == "wait_too_long"
    assert 4 < reply.retry_after_seconds <= 10
    assert isinstance(ledger.submit(make_ask(timeout_seconds=enough + 1), room=room), Accepted)


def test_whoever_finds_a_free_slot_is_let_in_whatever_the_mean(ledger: Ledger) -> None:
    room = Room(slots=1, service_seconds=10)
    assert isinstance(ledger.submit(make_ask(timeout_seconds=2), room=room), Accepted)


def test_the_mean_service_time_moves(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.submit(make_ask())
        claim = take(ledger)
        time.sleep(0.03)
        ledger.finish(claim.ask.ask_id, 1, "done", make_done())
    assert 0.02 < ledger.counters().service_seconds < 0.3


def test_records_live_and_go(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    assert store.text.ttl(f"myopia:ask:{ask.ask_id}") == -1
    take(ledger)
    ledger.finish(ask.ask_id, 1, "done", make_done())
    for key in (f"myopia:ask:{ask.ask_id}", f"myopia:events:{ask.ask_id}"):
        remaining = store.text.ttl(key)
        assert isinstance(remaining, int)
        assert 0 < remaining <= 3600
    assert store.text.hget(f"myopia:ask:{ask.ask_id}", "asked") is None
    store.text.zadd("myopia:ended", {ask.ask_id: 1})
    ledger.reap(idle=False)
    assert store.text.zcard("myopia:all") == 0


def test_a_gap_in_reaping_gives_each_lease_one_more_term(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    take(ledger)
    expire_lease(store, ask.ask_id)
    assert ledger.reap(idle=False).lost_leases == 0
    assert ledger.renew([(ask.ask_id, 1)]) == ("kept",)


def test_slow_reapers_do_not_keep_a_lease_alive_for_ever(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    take(ledger)
    ledger.reap(idle=False)
    time.sleep(0.8)
    expire_lease(store, ask.ask_id)
    assert ledger.reap(idle=False).lost_leases == 1


def test_pages_newest_first_with_filters(ledger: Ledger, store: Store) -> None:
    asks = [make_ask() for _ in range(5)]
    for number, ask in enumerate(asks):
        ledger.submit(ask, tenant="odd" if number % 2 else "even")
    seen, cursor = [], None
    while True:
        rows, cursor = store.run(calls.page(cursor, 2, None, None))
        seen += [row.ask_id for row in rows]
        if cursor is None:
            break
    assert seen == [ask.ask_id for ask in reversed(asks)]
    rows, _ = store.run(calls.page(None, 10, "queued", "odd"))
    assert [row.ask_id for row in rows] == [asks[3].ask_id, asks[1].ask_id]
    assert store.run(calls.page(None, 10, "done", None)) == ((), None)


def test_a_store_that_is_down_says_so_within_a_second(
    wire_settings: WireSettings, redis_server: RedisServer
) -> None:
    ledger = Ledger(Store(wire_settings))
    ledger.submit(make_ask())
    redis_server.kill()
    try:
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            ledger.submit(make_ask())
        assert time.monotonic() - began < 1
    finally:
        redis_server.start()
    assert ledger.counters().accepted == 1
