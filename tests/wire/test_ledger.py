"""Every transition of one ask in the ledger, against a real Redis."""

import time

from tests.wire.asks import make_ask, make_done
from tests.wire.transitions import events_of, expire_lease, state_of, take, text_of
from wire import calls
from wire.ledger import Ledger
from wire.mailbox import Mailbox
from wire.messages import Failed, ImagePart, TextPart, Turn
from wire.records import Accepted, Joined, Missing, Piece, Refused, Told
from wire.store import Store


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
    assert ledger.append(ask.ask_id, 1, Piece("ye", 0)) == "kept"
    assert ledger.finish(ask.ask_id, 1, "done", make_done(), Piece("s", 2)) == "ended"
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
    assert ledger.append(ask.ask_id, 1, Piece("late", 0)) == "lost"
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


def test_a_piece_whose_reply_was_lost_is_told_once(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    take(ledger)
    assert ledger.append(ask.ask_id, 1, Piece("é on", 0)) == "kept"
    assert ledger.append(ask.ask_id, 1, Piece("é on", 0)) == Told(4)
    assert ledger.append(ask.ask_id, 1, Piece("é one", 0)) == Told(4), "it grew meanwhile"
    assert ledger.append(ask.ask_id, 1, Piece("e", 4)) == "kept"
    assert ledger.finish(ask.ask_id, 1, "done", make_done(), Piece("e two", 4)) == Told(5)
    assert state_of(ledger, ask.ask_id) == "running"
    assert ledger.finish(ask.ask_id, 1, "done", make_done(), Piece(" two", 5)) == "ended"
    assert ledger.finish(ask.ask_id, 1, "done", make_done(), Piece(" two", 5)) == "already"
    assert text_of(store, ask.ask_id) == "é one two"


def test_a_piece_that_redis_lost_is_missed(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    take(ledger)
    assert ledger.append(ask.ask_id, 1, Piece(" two", 3)) == Told(0)
    assert ledger.finish(ask.ask_id, 1, "done", make_done(), Piece("", 3)) == Told(0)
    assert events_of(store, ask.ask_id) == []
    assert ledger.finish(ask.ask_id, 1, "done", make_done(), Piece("one two", 0)) == "ended"
    assert text_of(store, ask.ask_id) == "one two"


def test_every_attempt_counts_its_own_text(ledger: Ledger, store: Store) -> None:
    ask = make_ask()
    ledger.submit(ask)
    take(ledger)
    ledger.append(ask.ask_id, 1, Piece("one ", 0))
    ledger.release(ask.ask_id, 1)
    assert take(ledger).streamed == "one "
    assert ledger.append(ask.ask_id, 2, Piece("two", 0)) == "kept"
    assert ledger.append(ask.ask_id, 2, Piece("two", 0)) == Told(3)
    assert text_of(store, ask.ask_id) == "one two"


def test_the_next_attempt_knows_what_was_streamed(ledger: Ledger) -> None:
    ask = make_ask()
    ledger.submit(ask)
    take(ledger)
    ledger.append(ask.ask_id, 1, Piece("on", 0))
    ledger.append(ask.ask_id, 1, Piece("e ", 2))
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
    assert ledger.append(ask.ask_id, 1, Piece("x", 0)) == "cancel"
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
