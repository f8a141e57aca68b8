"""Asks about the same pictures go to the worker that has read them, and nobody waits for long."""

import hashlib
import itertools
import time
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire.asks import make_ask, make_done
from wire import calls
from wire.ledger import Ledger
from wire.messages import Ask, ImagePart, TextPart, Turn
from wire.records import Accepted, Claim, Later
from wire.settings import WireSettings
from wire.store import Store
from wire.workers import Card, Heartbeat

WAIT_SECONDS = 0.05
PEACE = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
_tenants = itertools.count()


def beat(store: Store, *workers: str, capacity: int = 2, draining: bool = False) -> None:
    for worker in workers:
        Heartbeat(store).beat(
            Card(
                worker_id=worker,
                model="m",
                revision="r",
                capacity=capacity,
                running=0,
                draining=draining,
            )
        )


def album(number: int, size: int = 2) -> list[str]:
    return [hashlib.sha256(f"{number} {k}".encode()).hexdigest() for k in range(size)]


def about(
    ledger: Ledger,
    store: Store,
    number: int,
    *,
    tenant: str = "",
    data: bytes = b"x",
    **fields: object,
) -> Ask:
    """Submit an ask about an album of two pictures, all with the same bytes."""
    digests = album(number)
    for digest in digests:
        store.raw.set(f"myopia:picture:{digest}", data, ex=60)
    images = [ImagePart(digest=digest, index=k) for k, digest in enumerate(digests)]
    turn = Turn(role="user", parts=(*images, TextPart(text="?")))
    ask = make_ask(turns=(turn,), **fields)
    assert isinstance(ledger.submit(ask, tenant=tenant), Accepted)
    return ask


def owner_of(ledger: Ledger, store: Store, number: int) -> str:
    """Whose an album is, as a stranger is told who claims an ask about it."""
    ask = about(ledger, store, number)
    told = ledger.claim_or_leave("stranger", ask.ask_id)
    store.run(calls.cancel(ask.ask_id, everyone=True))
    assert isinstance(told, Later)
    assert told.ask_id == ask.ask_id
    return told.worker_id


def other(worker: str) -> str:
    return "a" if worker == "b" else "b"


def test_an_ask_is_left_to_the_worker_that_has_read_its_pictures(
    ledger: Ledger, store: Store
) -> None:
    beat(store, "a", "b")
    mine = owner_of(ledger, store, 1)
    ask = about(ledger, store, 1)
    first = ledger.claim_or_leave(other(mine), ask.ask_id)
    assert isinstance(first, Later)
    assert (first.worker_id, first.first) == (mine, True)
    assert 0 < first.seconds <= WAIT_SECONDS
    again = ledger.claim_or_leave(other(mine), ask.ask_id)
    assert isinstance(again, Later)
    assert not again.first
    assert again.seconds <= first.seconds
    claim = ledger.claim_or_leave(mine, ask.ask_id)
    assert isinstance(claim, Claim)
    assert claim.ask_id == ask.ask_id


def test_who_waited_in_vain_takes_it(ledger: Ledger, store: Store) -> None:
    beat(store, "a", "b")
    mine = owner_of(ledger, store, 1)
    ask = about(ledger, store, 1)
    later = ledger.claim_or_leave(other(mine), ask.ask_id)
    assert isinstance(later, Later)
    time.sleep(later.seconds + 0.005)
    claim = ledger.claim_or_leave(other(mine), ask.ask_id)
    assert isinstance(claim, Claim)


def test_a_busy_worker_is_not_waited_for(ledger: Ledger, store: Store) -> None:
    beat(store, "a", "b", capacity=1)
    mine = owner_of(ledger, store, 1)
    about(ledger, store, 1)
    held = ledger.claim(mine, "x")
    assert held is not None
    second = about(ledger, store, 1)
    stolen = ledger.claim_or_leave(other(mine), second.ask_id)
    assert isinstance(stolen, Claim)
    ledger.finish(held.ask_id, held.attempt, "done", make_done())
    third = about(ledger, store, 1)
    assert isinstance(ledger.claim_or_leave(other(mine), third.ask_id), Later)


@pytest.mark.parametrize("how", ["died", "left", "drains"])
def test_a_worker_that_goes_is_not_waited_for(ledger: Ledger, store: Store, how: str) -> None:
    beat(store, "a", "b")
    mine = owner_of(ledger, store, 1)
    if how == "died":
        store.text.zadd("myopia:workers", {mine: 1})
    elif how == "left":
        Heartbeat(store).leave(mine)
    else:
        beat(store, mine, draining=True)
    ask = about(ledger, store, 1)
    assert isinstance(ledger.claim_or_leave(other(mine), ask.ask_id), Claim)


def test_an_ask_that_comes_back_is_taken_at_once(ledger: Ledger, store: Store) -> None:
    beat(store, "a", "b")
    mine = owner_of(ledger, store, 1)
    ask = about(ledger, store, 1)
    assert isinstance(ledger.claim_or_leave(other(mine), ask.ask_id), Later)
    held = ledger.claim(mine, ask.ask_id)
    assert held is not None
    time.sleep(WAIT_SECONDS)
    assert ledger.release(held.ask_id, held.attempt) == "queued"
    assert isinstance(ledger.claim_or_leave(other(mine), ask.ask_id), Claim)


def test_reuse_none_and_a_wait_of_0_prefer_nobody(
    ledger: Ledger, store: Store, wire_settings: WireSettings
) -> None:
    beat(store, "a", "b")
    fresh = about(ledger, store, 1, reuse="none")
    claim = ledger.claim_or_leave("stranger", fresh.ask_id)
    assert isinstance(claim, Claim)
    plain = Ledger(Store(wire_settings.model_copy(update={"prefill_wait_seconds": 0.0})))
    asks = [about(ledger, store, number) for number in range(6)]
    taken = [plain.claim_or_leave(f"{'ab'[k % 2]}", "x") for k in range(6)]
    assert [c.ask_id for c in taken if isinstance(c, Claim)] == [ask.ask_id for ask in asks]


def test_of_what_waits_a_worker_takes_its_own_first(ledger: Ledger, store: Store) -> None:
    beat(store, "a", "b", capacity=99)
    owners = {number: owner_of(ledger, store, number) for number in range(8)}
    asks = [(about(ledger, store, number), owners[number]) for number in range(8)]
    assert set(owners.values()) == {"a", "b"}, "choose other albums: the test shows nothing"
    for worker in "ab":
        for ask, owner in asks:
            if owner == worker:
                claim = ledger.claim(worker, "x")
                assert claim is not None
                assert claim.ask_id == ask.ask_id


@given(takers=st.lists(st.sampled_from("abc"), min_size=60, max_size=60), data=st.data())
@PEACE
def test_nobody_is_passed_over_too_often(
    ledger: Ledger, store: Store, takers: list[str], data: st.DataObject
) -> None:
    store.text.flushdb()
    beat(store, "a", "b", "c", capacity=999)
    albums = data.draw(st.lists(st.integers(0, 9), min_size=40, max_size=40))
    order = [about(ledger, store, number).ask_id for number in albums]
    taken = []
    for worker in takers:
        claim = ledger.claim(worker, "x")
        if claim is not None:
            taken.append(claim.ask_id)
    assert sorted(taken) == sorted(order), "an ask was lost"
    for place, ask_id in enumerate(taken):
        younger = [one for one in taken[:place] if order.index(one) > order.index(ask_id)]
        assert len(younger) <= 8


def test_keys_take_turns_whoever_owns_what(ledger: Ledger, store: Store) -> None:
    beat(store, "a", "b", capacity=99)
    by_ask = {}
    for number in range(12):
        by_ask[about(ledger, store, number, tenant="heavy").ask_id] = "heavy"
    for number in range(4):
        by_ask[about(ledger, store, number, tenant="light").ask_id] = "light"
    claims = [ledger.claim("ab"[k % 2], "x") for k in range(8)]
    turns = Counter(by_ask[claim.ask_id] for claim in claims if claim is not None)
    assert turns == {"heavy": 4, "light": 4}


def test_another_keys_ask_is_taken_while_one_is_left(ledger: Ledger, store: Store) -> None:
    beat(store, "a", "b")
    mine = owner_of(ledger, store, 1)
    about(ledger, store, 1, tenant="first")
    second = about(ledger, store, 1, tenant="second", reuse="none")
    claim = ledger.claim_or_leave(other(mine), second.ask_id)
    assert isinstance(claim, Claim)
    assert claim.ask_id == second.ask_id
    again = ledger.claim(mine, "x")
    assert again is not None, "the turn of the first is not lost"


@pytest.mark.parametrize("count", [2, 5])
def test_only_the_albums_of_one_worker_move(ledger: Ledger, store: Store, count: int) -> None:
    workers = [f"worker-{k}" for k in range(count)]
    numbers = range(150)
    beat(store, *workers)
    before = {number: owner_of(ledger, store, number) for number in numbers}
    shares = Counter(before.values())
    assert len(shares) == count
    assert max(shares.values()) < 1.6 * 150 / count
    beat(store, "new")
    more = {number: owner_of(ledger, store, number) for number in numbers}
    moved = {number for number in numbers if more[number] != before[number]}
    assert {more[number] for number in moved} == {"new"}
    assert 0 < len(moved) < 1.8 * 150 / (count + 1)
    Heartbeat(store).leave("new")
    Heartbeat(store).leave(workers[0])
    if count > 2:
        less = {number: owner_of(ledger, store, number) for number in numbers}
        kept = [number for number in numbers if before[number] != workers[0]]
        assert all(less[number] == before[number] for number in kept)


def test_what_a_worker_has_is_counted_right(ledger: Ledger, store: Store) -> None:
    beat(store, "a", "b", capacity=9)
    held = []
    for number in range(5):
        about(ledger, store, number)
        claim = ledger.claim("a", "x")
        assert claim is not None
        held.append(claim)
    assert store.text.hgetall("myopia:busy") == {"a": "5"}
    ledger.finish(held[0].ask_id, held[0].attempt, "done", make_done())
    ledger.finish(held[0].ask_id, held[0].attempt, "done", make_done())
    ledger.release(held[1].ask_id, held[1].attempt, blame="it broke")
    store.text.zadd("myopia:running", {held[2].ask_id: 1})
    ledger.reap(idle=False)
    ledger.reap(idle=False)
    store.text.zadd("myopia:running", {held[2].ask_id: 1})
    ledger.reap(idle=False)
    assert store.text.hgetall("myopia:busy") == {"a": "2"}
    for claim in held[3:]:
        ledger.finish(claim.ask_id, claim.attempt, "failed", calls.EXPIRED)
    assert store.text.hgetall("myopia:busy") == {}
