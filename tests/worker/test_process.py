"""Real worker processes with the fake engine: one ask's way, and every way to stop or fail."""

import signal
import time

from tests.wire.asks import make_ask
from tests.worker.conftest import StartWorker
from tests.worker.fake_engine import expected_answer
from tests.worker.processes import wait_for
from wire import calls
from wire.ledger import Ledger
from wire.messages import EVENT, Ask, Done, Failed
from wire.queue import Queue
from wire.store import Store


def put(
    ledger: Ledger, queue: Queue, question: str, timeout_seconds: float = 60, most: int = 1000
) -> Ask:
    ask = make_ask(question, timeout_seconds, generation={"max_tokens": most})
    ledger.submit(ask)
    queue.send(ask.ask_id)
    return ask


def state(ledger: Ledger, ask: Ask) -> str:
    record = ledger.get(ask.ask_id)
    assert record is not None
    return record.state


def has_ended(ledger: Ledger, *asks: Ask) -> bool:
    return all(state(ledger, ask) not in ("queued", "running") for ask in asks)


def ending(store: Store, ask: Ask) -> Done | Failed:
    rows = store.text.xrange(f"myopia:events:{ask.ask_id}")
    events = [EVENT.validate_json(fields["e"]) for _, fields in rows]
    endings = [event for event in events if event.kind != "token"]
    assert len(endings) == 1
    assert events[-1] is endings[0]
    text = "".join(event.text for event in events if event.kind == "token")
    last = endings[0]
    if isinstance(last, Done) and last.finish_reason == "stop":
        assert text == last.answer
    return last  # type: ignore[return-value]


def test_an_ask_is_answered_and_the_worker_drains(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    worker = start_worker(FAKE_STEP_MS=10)
    asks = [put(ledger, queue, f"question {n}") for n in range(20)]
    wait_for(lambda: has_ended(ledger, *asks), 60, worker.log.read_text()[-2000:])
    for n, ask in enumerate(asks):
        done = ending(store, ask)
        assert isinstance(done, Done)
        assert done.answer == expected_answer(f"question {n}")
        assert done.model == "fake"
        assert done.timings.total_ms >= 20
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert ledger.counters().imbalance == 0


def test_a_poison_ask_takes_three_workers_down_and_no_neighbour(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    poison = put(ledger, queue, "abort steps=50")
    neighbours = [put(ledger, queue, f"neighbour {n} steps=5") for n in range(12)]
    downs = 0
    worker = start_worker(FAKE_STEP_MS=5, MYOPIA_HEARTBEAT_TTL_SECONDS=1)
    until = time.monotonic() + 100
    while not has_ended(ledger, poison, *neighbours):
        assert time.monotonic() < until, worker.log.read_text()[-2000:]
        if not worker.is_alive:
            downs += 1
            worker = start_worker(FAKE_STEP_MS=5, MYOPIA_HEARTBEAT_TTL_SECONDS=1)
        time.sleep(0.05)
    assert downs == 3
    assert state(ledger, poison) == "dead"
    failed = ending(store, poison)
    assert isinstance(failed, Failed)
    assert failed.code == "dead"
    assert {state(ledger, ask) for ask in neighbours} == {"done"}
    assert ledger.counters().imbalance == 0


def test_a_cuda_error_ends_the_process_and_gives_the_neighbours_back_at_once(
    ledger: Ledger, queue: Queue, start_worker: StartWorker
) -> None:
    worker = start_worker(FAKE_STEP_MS=20, MYOPIA_LEASE_SECONDS=60)
    neighbours = [put(ledger, queue, f"neighbour {n} steps=30") for n in range(3)]
    worker.until_ready()
    wait_for(lambda: ledger.counters().running == 3)
    poison = put(ledger, queue, "fatal")
    assert worker.wait() == 70
    record = ledger.get(poison.ask_id)
    assert record is not None
    assert (record.state, record.deaths) == ("queued", 1)
    assert "CUDA error" in (record.last_error or "")
    assert [state(ledger, ask) for ask in neighbours] == ["queued"] * 3
    downs = 1
    worker = start_worker(FAKE_STEP_MS=1)
    while not has_ended(ledger, poison, *neighbours):
        if not worker.is_alive:
            downs += 1
            assert downs <= 3
            worker = start_worker(FAKE_STEP_MS=1)
        time.sleep(0.02)
    assert {state(ledger, ask) for ask in neighbours} == {"done"}
    assert state(ledger, poison) == "dead"


def test_a_step_that_throws_is_survived(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    worker = start_worker(FAKE_STEP_MS=5)
    good = [put(ledger, queue, f"good {n} steps=8") for n in range(4)]
    bad = put(ledger, queue, "raise")
    wait_for(lambda: has_ended(ledger, bad, *good), 60, worker.log.read_text()[-3000:])
    assert worker.is_alive
    assert state(ledger, bad) == "dead"
    assert {state(ledger, ask) for ask in good} == {"done"}
    for ask in good:
        ending(store, ask)
    record = ledger.get(bad.ask_id)
    assert record is not None
    assert record.last_error == "ValueError: a step failed"


def test_refusals_keep_their_words_and_codes(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    start_worker()
    refused, full = put(ledger, queue, "refuse"), put(ledger, queue, "full")
    wait_for(lambda: has_ended(ledger, refused, full))
    first, second = ending(store, refused), ending(store, full)
    assert isinstance(first, Failed)
    assert (first.code, first.field) == ("bad_request", "/question")
    assert isinstance(second, Failed)
    assert (second.code, second.limit, second.actual) == ("out_of_memory", 1, 2)


def test_a_message_of_another_version_ends_with_a_code(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    ask = make_ask()
    ledger.submit(ask)
    future = ask.model_dump_json().replace('"version":1', '"version":2')
    store.text.hset(f"myopia:ask:{ask.ask_id}", "asked", future)
    queue.send(ask.ask_id)
    start_worker()
    wait_for(lambda: has_ended(ledger, ask))
    failed = ending(store, ask)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.field) == ("bad_request", "/version")


def test_a_cancel_reaches_a_running_row_at_once(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    start_worker(FAKE_STEP_MS=10, MYOPIA_LEASE_SECONDS=60)
    ask = put(ledger, queue, "steps=1000")
    wait_for(lambda: state(ledger, ask) == "running")
    time.sleep(0.3)
    began = time.monotonic()
    assert store.run(calls.cancel(ask.ask_id, everyone=True)) == "asked"
    wait_for(lambda: has_ended(ledger, ask))
    assert time.monotonic() - began < 0.5
    done = ending(store, ask)
    assert state(ledger, ask) == "cancelled"
    assert isinstance(done, Done)
    assert done.finish_reason == "cancelled"
    assert 0 < done.usage.completion_tokens < 100


def test_a_running_ask_expires_by_its_deadline(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    worker = start_worker(FAKE_STEP_MS=10)
    worker.until_ready()
    ask = put(ledger, queue, "steps=1000", timeout_seconds=0.5)
    wait_for(lambda: has_ended(ledger, ask), 10)
    assert state(ledger, ask) == "expired"
    failed = ending(store, ask)
    assert isinstance(failed, Failed)
    assert failed.code == "expired"


def test_drain_finishes_what_fits_and_gives_back_the_rest(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    worker = start_worker(FAKE_STEP_MS=20, MYOPIA_GRACE_SECONDS=1.5, MYOPIA_LEASE_SECONDS=60)
    short = [put(ledger, queue, f"short {n} steps=40", most=40) for n in range(4)]
    long = [put(ledger, queue, f"long {n} steps=200") for n in range(4)]
    wait_for(lambda: ledger.counters().running == 8)
    began = time.monotonic()
    worker.send(signal.SIGTERM)
    late = put(ledger, queue, "late")
    assert worker.wait() == 0
    assert time.monotonic() - began < 4
    assert {state(ledger, ask) for ask in short} == {"done"}
    assert {state(ledger, ask) for ask in long} == {"queued"}
    start_worker(FAKE_STEP_MS=1)
    wait_for(lambda: has_ended(ledger, late, *long))
    for ask in long:
        done = ending(store, ask)
        assert isinstance(done, Done)
        assert done.answer == expected_answer(f"long {long.index(ask)} steps=200")
        record = ledger.get(ask.ask_id)
        assert record is not None
        assert (record.attempt, record.deaths) == (2, 0)


def test_what_will_not_fit_goes_at_once_and_ends_elsewhere(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    """The grace is long; nobody waits for it with an ask that cannot end within it."""
    leaving = start_worker(FAKE_STEP_MS=100, MYOPIA_GRACE_SECONDS=15, MYOPIA_LEASE_SECONDS=60)
    short = [put(ledger, queue, f"short {n} steps=40", most=40) for n in range(2)]
    long = [put(ledger, queue, f"long {n} steps=300") for n in range(2)]
    wait_for(lambda: all(store.text.xlen(f"myopia:events:{ask.ask_id}") for ask in long))
    began = time.monotonic()
    leaving.send(signal.SIGTERM)
    wait_for(lambda: {state(ledger, ask) for ask in long} == {"queued"}, 10)
    assert {state(ledger, ask) for ask in short} == {"running"}
    start_worker(FAKE_STEP_MS=1)
    assert leaving.wait() == 0
    assert time.monotonic() - began < 12, "it waited for its grace to end"
    assert {state(ledger, ask) for ask in short} == {"done"}
    wait_for(lambda: has_ended(ledger, *long))
    for ask in long:
        done = ending(store, ask)
        assert isinstance(done, Done)
        assert done.answer == expected_answer(f"long {long.index(ask)} steps=300")


def test_a_second_sigterm_gives_everything_back_at_once(
    ledger: Ledger, queue: Queue, start_worker: StartWorker
) -> None:
    worker = start_worker(FAKE_STEP_MS=50, MYOPIA_GRACE_SECONDS=60, MYOPIA_LEASE_SECONDS=60)
    worker.until_ready()
    asks = [put(ledger, queue, f"long {n} steps=1000") for n in range(4)]
    wait_for(lambda: ledger.counters().running == 4)
    worker.send(signal.SIGTERM)
    wait_for(lambda: worker.said("draining"))
    time.sleep(0.3)
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert {state(ledger, ask) for ask in asks} == {"queued"}


def test_a_zombie_wakes_to_a_refusal(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    zombie = start_worker(FAKE_STEP_MS=50)
    zombie.until_ready()
    ask = put(ledger, queue, "zombie steps=30")
    wait_for(lambda: state(ledger, ask) == "running")
    time.sleep(0.4)
    zombie.send(signal.SIGSTOP)
    start_worker(FAKE_STEP_MS=1)
    wait_for(lambda: has_ended(ledger, ask))
    zombie.send(signal.SIGCONT)
    time.sleep(2)
    done = ending(store, ask)
    assert isinstance(done, Done)
    assert done.answer == expected_answer("zombie steps=30")
    record = ledger.get(ask.ask_id)
    assert record is not None
    assert (record.state, record.attempt) == ("done", 2)
    assert zombie.is_alive


def test_an_ask_whose_message_vanished_is_found(ledger: Ledger, start_worker: StartWorker) -> None:
    start_worker().until_ready()
    ask = make_ask("never sent")
    ledger.submit(ask)
    wait_for(lambda: has_ended(ledger, ask), 20)
    assert ledger.counters().lost_messages == 1
