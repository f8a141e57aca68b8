"""A waiting ask's place in line: what is told must be the order in which asks are then claimed."""

import statistics
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.redis_server import RedisServer
from tests.wire.asks import make_ask, make_done
from wire import calls
from wire.ledger import Ledger
from wire.messages import ImagePart, Turn
from wire.records import Accepted, Claim, Place, Record, Room
from wire.settings import WireSettings
from wire.store import Store
from wire.workers import Card, Heartbeat

SLOTS, SERVICE_SECONDS = 2, 3.0
# Ties are broken by the tenant's bytes: capitals first, as no dictionary has it.
TENANTS = ("", "B", "a", "b", "é")
Step = tuple[str, int]


def look(store: Store, ask_id: str, slots: int = SLOTS) -> Record:
    record = store.run(calls.look_up(ask_id, slots, SERVICE_SECONDS))
    assert record is not None
    return record


def position(store: Store, ask_id: str) -> int | None:
    place = look(store, ask_id).place
    return place.position if place else None


def submitted(ledger: Ledger, *tenants: str) -> list[str]:
    asks = [make_ask() for _ in tenants]
    for ask, tenant in zip(asks, tenants, strict=True):
        assert isinstance(ledger.submit(ask, tenant=tenant), Accepted)
    return [ask.ask_id for ask in asks]


def test_keys_in_turn_are_counted_as_they_will_be_claimed(ledger: Ledger, store: Store) -> None:
    a1, a2, a3, b1, b2, c1 = submitted(ledger, "a", "a", "a", "b", "b", "c")
    assert [position(store, ask) for ask in (a1, b1, c1, a2, b2, a3)] == [1, 2, 3, 4, 5, 6]


def test_a_cancelled_ask_in_front_moves_the_others_up(ledger: Ledger, store: Store) -> None:
    a1, a2, b1 = submitted(ledger, "a", "a", "b")
    assert position(store, a2) == 3
    store.run(calls.cancel(b1, everyone=True))
    assert position(store, a2) == 2
    store.run(calls.cancel(a1, everyone=True))
    assert position(store, a2) == 1
    assert look(store, a1).place is None


def test_who_was_served_less_goes_before_who_came_first(ledger: Ledger, store: Store) -> None:
    first = submitted(ledger, "a", "a", "a")
    ledger.claim("w", first[0])
    (late,) = submitted(ledger, "z")
    assert [position(store, ask) for ask in (late, *first[1:])] == [1, 2, 3]


def test_the_wait_counts_free_slots_and_the_mean(ledger: Ledger, store: Store) -> None:
    asks = submitted(ledger, *["a"] * 5)
    waits = [look(store, ask).place for ask in asks]
    assert waits == [Place(n + 1, max(0, n + 1 - SLOTS) * 1.5) for n in range(5)]
    ledger.claim("w", asks[0])
    ledger.claim("w", asks[1])
    assert look(store, asks[2]).place == Place(1, 1.5)
    assert look(store, asks[2], slots=0).place == Place(1, None)


def test_what_the_door_promised_is_what_is_told_of_the_ask(ledger: Ledger, store: Store) -> None:
    room = Room(slots=SLOTS, service_seconds=SERVICE_SECONDS, max_wait_seconds=1000)
    for tenant in "aababbcaacb":
        would = store.run(calls.in_line(tenant, SLOTS, SERVICE_SECONDS))
        ask = make_ask(timeout_seconds=900)
        accepted = ledger.submit(ask, tenant=tenant, room=room)
        assert isinstance(accepted, Accepted)
        place = look(store, ask.ask_id).place
        assert place is not None
        assert place.expected_wait_seconds == accepted.predicted_wait_seconds == would


def test_pictures_that_one_worker_has_read_change_no_place_with_it_alone(
    ledger: Ledger, store: Store
) -> None:
    Heartbeat(store).beat(Card(worker_id="w", model="m", revision="r", capacity=1, running=0))
    asks = []
    for digest in ("a" * 64, "b" * 64, "a" * 64):
        store.raw.set(f"myopia:picture:{digest}", b"x", ex=600)
        turn = Turn(role="user", parts=(ImagePart(digest=digest, index=0),))
        asks.append(make_ask(turns=(turn,)))
        assert isinstance(ledger.submit(asks[-1]), Accepted)
    assert [position(store, ask.ask_id) for ask in asks] == [1, 2, 3]
    for ask in asks:
        claim = ledger.claim_or_leave("w", "?")
        assert isinstance(claim, Claim)
        assert claim.ask_id == ask.ask_id


def test_only_waiting_asks_have_a_place(ledger: Ledger, store: Store) -> None:
    (ask,) = submitted(ledger, "a")
    assert look(store, ask).place == Place(1, 0)
    ledger.claim("w", ask)
    assert look(store, ask).place is None
    ledger.release(ask, 1)
    assert look(store, ask).place == Place(1, 0)
    ledger.claim("w", ask)
    ledger.finish(ask, 2, "done", make_done())
    assert look(store, ask).place is None
    assert store.run(calls.look_up("ask_never_was", SLOTS, 1)) is None


@pytest.fixture(scope="module")
def shared(redis_server: RedisServer) -> Iterator[Store]:
    store = Store(WireSettings.model_validate({"redis_url": redis_server.url}))
    yield store
    store.close()


STEPS = st.one_of(
    st.tuples(st.just("submit"), st.integers(0, len(TENANTS) - 1)),
    st.tuples(st.sampled_from(["claim", "cancel", "release", "finish"]), st.integers(0, 30)),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(STEPS, max_size=30))
def test_places_are_the_order_of_the_claims_that_follow(
    shared: Store, redis_server: RedisServer, steps: list[Step]
) -> None:
    redis_server.wipe()
    ledger = Ledger(shared)
    waiting = wander(ledger, shared, steps)
    while waiting:
        places = {position(shared, ask): ask for ask in waiting}
        assert set(places) == set(range(1, len(waiting) + 1))
        claim = ledger.claim("w", "?")
        assert claim is not None
        assert claim.ask_id == places[1]
        waiting.remove(claim.ask_id)
    assert ledger.claim("w", "?") is None


def wander(ledger: Ledger, store: Store, steps: list[Step]) -> list[str]:
    """Do what the steps say, as far as it can be done; the asks that wait in the end."""
    waiting: list[str] = []
    running: list[tuple[str, int]] = []
    for kind, n in steps:
        if kind == "submit":
            waiting += submitted(ledger, TENANTS[n])
        elif kind == "claim" and (claim := ledger.claim("w", "?")):
            waiting.remove(claim.ask_id)
            running.append((claim.ask_id, claim.attempt))
        elif kind == "cancel" and waiting:
            store.run(calls.cancel(waiting.pop(n % len(waiting)), everyone=True))
        elif kind == "release" and running:
            ask_id, attempt = running.pop(n % len(running))
            assert ledger.release(ask_id, attempt) == "queued"
            waiting.append(ask_id)
        elif kind == "finish" and running:
            ask_id, attempt = running.pop(n % len(running))
            assert ledger.finish(ask_id, attempt, "done", make_done()) == "ended"
    return waiting


def test_a_thousand_keys_in_line_cost_the_server_little(ledger: Ledger, store: Store) -> None:
    last = [submitted(ledger, f"t{n}", f"t{n}")[1] for n in range(1000)][-1]
    assert position(store, last) == 2000
    took = []
    for _ in range(20):
        began = time.perf_counter()
        look(store, last)
        took.append(time.perf_counter() - began)
    print(f"{statistics.median(took) * 1000:.2f} ms with 1000 keys in front")
    assert min(took) < 0.02
