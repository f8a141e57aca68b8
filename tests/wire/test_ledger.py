"""Every transition of the ledger, against a real Redis."""

import time

import pytest

from tests.redis_server import RedisServer
from tests.wire.asks import make_ask, make_done
from wire import calls
from wire.errors import StoreUnavailable
from wire.ledger import Ledger
from wire.mailbox import Mailbox
from wire.messages import EVENT, Failed, ImagePart, TextPart, Token, Turn
from wire.records import Accepted, Claim, Joined, Missing, Refused, Room
from wire.settings import WireSettings
from wire.store import Store


def take(ledger: Ledger, look: str = "?", worker: str = "w1") -> Claim:
    claim = ledger.claim(worker, look)
    assert claim is not None
    return claim


def events_of(store: Store, ask_id: str) -> list[str]:
    rows = store.text.xrange(f"myopia:events:{ask_id}")
    return [EVENT.validate_json(fields["e"]).kind for _, fields in rows]


def expire_lease(store: Store, ask_id: str) -> None:
    store.text.zadd("myopia:running", {ask_id: 1})


def state_of(ledger: Ledger, ask_id: str) -> str:
    record = ledger.get(ask_id)
    assert record is not None
    return record.state


def test_the_way_from_submit_to_done(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    assert ledger.submit(ask, tenant="a") == Accepted(ask.ask_id, 0)
    assert state_of(ledger, ask.ask_id) == "queued"
    claim = take(ledger, ask.ask_id)
    assert claim.ask == ask
    assert (claim.attempt, claim.alone, claim.streamed) == (1, False, "")
    assert 0 <= claim.queue_ms < 1000
    record = ledger.get(ask.ask_id)
    assert record is not None
    assert (record.state, record.owner, record.tenant) == ("running", "w1", "a")
    assert ledger.append(ask.ask_id, 1, Token(text="ye")) == "kept"
    assert ledger.finish(ask.ask_id, 1, "done", make_done(), last_text="s") == "ended"
    assert state_of(ledger, ask.ask_id) == "done"
    assert events_of(store, ask.ask_id) == ["token", "token", "done"]
    totals = ledger.counters()
    assert (totals.accepted, totals.done, totals.open, totals.imbalance) == (1, 1, 0, 0)


def test_a_repeated_submit_is_accepted_once(ledger: Ledger) -> None:
    ask = make_ask()
    ledger.submit(ask)
    assert ledger.submit(ask) == Accepted(ask.ask_id, 0)
    assert ledger.counters().accepted == 1


def test_nothing_to_claim(ledger: Ledger) -> None:
    assert ledger.claim("w1", "ask_of_a_message_that_came_twice") is None


def test_a_claim_repeated_after_a_lost_reply_is_the_same(ledger: Ledger) -> None:
    first, second = make_ask(), make_ask()
    ledger.submit(first)
    ledger.submit(second)
    one = ledger.claim("w1", first.ask_id, nonce="n")
    again = ledger.claim("w1", first.ask_id, nonce="n")
    assert one == again
    assert take(ledger, second.ask_id).ask.ask_id == second.ask_id


def test_a_zombie_is_refused_and_the_ending_is_one(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    take(ledger, ask.ask_id, "zombie")
    ledger.reap(idle=False)
    expire_lease(store, ask.ask_id)
    assert ledger.reap(idle=False).resend == (ask.ask_id,)
    claim = take(ledger, ask.ask_id, "w2")
    assert claim.attempt == 2
    assert ledger.append(ask.ask_id, 1, Token(text="late")) == "lost"
    assert ledger.renew([(ask.ask_id, 1), (ask.ask_id, 2)]) == ("lost", "kept")
    assert ledger.finish(ask.ask_id, 1, "done", make_done("zombie's")) == "refused"
    assert ledger.finish(ask.ask_id, 2, "done", make_done("good")) == "ended"
    assert ledger.finish(ask.ask_id, 1, "done", make_done("zombie's")) == "refused"
    assert events_of(store, ask.ask_id) == ["done"]
    assert ledger.counters().refused_finishes == 2


def test_a_repeated_finish_is_told_so(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    take(ledger)
    assert ledger.finish(ask.ask_id, 1, "done", make_done()) == "ended"
    assert ledger.finish(ask.ask_id, 1, "done", make_done()) == "already"
    assert events_of(store, ask.ask_id) == ["done"]
    assert ledger.counters().imbalance == 0


def test_the_next_attempt_knows_what_was_streamed(ledger: Ledger) -> None:
    ask = make_ask()
    ledger.submit(ask)
    take(ledger)
    ledger.append(ask.ask_id, 1, Token(text="on"))
    ledger.append(ask.ask_id, 1, Token(text="e "))
    ledger.release(ask.ask_id, 1)
    assert take(ledger).streamed == "one "


def test_release_without_blame_costs_no_attempt(ledger: Ledger) -> None:
    ask = make_ask()
    ledger.submit(ask)
    for attempt in range(1, 8):
        assert take(ledger).attempt == attempt
        assert ledger.release(ask.ask_id, attempt) == "queued"
    record = ledger.get(ask.ask_id)
    assert record is not None
    assert record.deaths == 0


def test_blame_three_times_is_dead_and_retry_revives(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    for attempt, became in enumerate(["queued", "queued", "dead"], start=1):
        claim = take(ledger)
        assert claim.alone == (attempt == 3)
        assert ledger.release(ask.ask_id, attempt, blame="CUDA error") == became
    record = ledger.get(ask.ask_id)
    assert record is not None
    assert (record.state, record.last_error) == ("dead", "CUDA error")
    assert events_of(store, ask.ask_id) == ["failed"]
    assert store.run(calls.retry(ask.ask_id, time.time() + 60))
    assert not store.run(calls.retry(ask.ask_id, time.time() + 60))
    assert take(ledger).ask == ask
    ledger.finish(ask.ask_id, 4, "done", make_done())
    assert events_of(store, ask.ask_id) == ["done"]
    totals = ledger.counters()
    assert (totals.accepted, totals.dead, totals.done, totals.imbalance) == (1, 0, 1, 0)


def test_a_last_chance_counts_only_from_start(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    ledger.reap(idle=False)
    for attempt in (1, 2):
        take(ledger)
        ledger.release(ask.ask_id, attempt, blame="x")
    take(ledger)
    expire_lease(store, ask.ask_id)
    assert ledger.reap(idle=False).dead == 0
    assert take(ledger).alone
    assert ledger.start(ask.ask_id, 4)
    assert not ledger.start(ask.ask_id, 3)
    expire_lease(store, ask.ask_id)
    assert ledger.reap(idle=False).dead == 1
    assert state_of(ledger, ask.ask_id) == "dead"


def test_cancel_of_a_queued_ask_ends_it(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    assert store.run(calls.cancel(ask.ask_id, everyone=False)) == "cancelled"
    assert store.run(calls.cancel(ask.ask_id, everyone=False)) == "ended"
    assert store.run(calls.cancel("ask_nobody_knows", everyone=False)) == "missing"
    assert ledger.claim("w1", ask.ask_id) is None
    assert events_of(store, ask.ask_id) == ["failed"]


def test_cancel_of_a_running_ask_flags_it(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    take(ledger)
    assert store.run(calls.cancel(ask.ask_id, everyone=False)) == "asked"
    assert ledger.renew([(ask.ask_id, 1)]) == ("cancel",)
    assert ledger.append(ask.ask_id, 1, Token(text="x")) == "cancel"
    assert ledger.finish(ask.ask_id, 1, "cancelled", calls.CANCELLED) == "ended"
    assert ledger.counters().cancelled == 1


def test_cancel_of_an_ask_whose_worker_died(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    ledger.reap(idle=False)
    take(ledger)
    store.run(calls.cancel(ask.ask_id, everyone=False))
    expire_lease(store, ask.ask_id)
    ledger.reap(idle=False)
    assert state_of(ledger, ask.ask_id) == "cancelled"


def test_time_is_up_while_queued(ledger: Ledger) -> None:
    first, second = make_ask(timeout_seconds=0.6), make_ask(timeout_seconds=0.6)
    ledger.submit(first)
    ledger.submit(second)
    time.sleep(0.7)
    assert ledger.reap(idle=False).expired == 2
    third, fourth = make_ask(timeout_seconds=0.6), make_ask()
    ledger.submit(third)
    ledger.submit(fourth)
    time.sleep(0.7)
    assert take(ledger).ask == fourth
    assert state_of(ledger, third.ask_id) == "expired"
    assert ledger.counters().imbalance == 0


def test_a_deadline_in_the_past_is_refused(ledger: Ledger) -> None:
    assert ledger.submit(make_ask(timeout_seconds=-1)) == Refused("deadline_passed", 0)
    assert ledger.counters().accepted == 0


def test_pictures_must_be_there(ledger: Ledger, store: Store) -> None:
    digest = Mailbox(store).put_picture(b"bytes")
    store.text.expire(f"myopia:picture:{digest}", 10)
    other = "0" * 64
    parts = (
        ImagePart(digest=digest, index=0),
        ImagePart(digest=other, index=1),
        TextPart(text="?"),
    )
    ask = make_ask(turns=(Turn(role="user", parts=parts),))
    assert ledger.submit(ask) == Missing((other,))
    remaining = store.text.ttl(f"myopia:picture:{digest}")
    assert isinstance(remaining, int)
    assert remaining > 3000
    assert ledger.counters().accepted == 0


def test_the_same_in_flight_is_joined_and_the_last_to_leave_cancels(
    ledger: Ledger, store: Store
) -> None:
    leader, follower = make_ask(), make_ask()
    ledger.submit(leader, flight="key")
    assert ledger.submit(follower, flight="key") == Joined(leader.ask_id)
    assert ledger.submit(make_ask(), flight="other") != Joined(leader.ask_id)
    assert store.run(calls.cancel(leader.ask_id, everyone=False)) == "left"
    assert store.run(calls.cancel(leader.ask_id, everyone=False)) == "cancelled"
    assert ledger.submit(follower, flight="key") == Accepted(follower.ask_id, 0)


def test_a_done_ask_can_be_joined_for_a_moment_and_a_failed_one_not(
    ledger: Ledger, store: Store
) -> None:
    leader = make_ask()
    ledger.submit(leader, flight="good")
    take(ledger)
    ledger.finish(leader.ask_id, 1, "done", make_done())
    assert ledger.submit(make_ask(), flight="good") == Joined(leader.ask_id)
    remaining = store.text.ttl("myopia:flight:good")
    assert isinstance(remaining, int)
    assert 0 < remaining <= 10
    bad = make_ask()
    ledger.submit(bad, flight="bad")
    take(ledger)
    ledger.finish(bad.ask_id, 1, "failed", Failed(code="internal", detail="."))
    assert isinstance(ledger.submit(make_ask(), flight="bad"), Accepted)


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
