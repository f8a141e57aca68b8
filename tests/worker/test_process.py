"""Real worker processes with the fake engine: one ask's way, and every way to stop or fail."""

import signal

from tests.wire.asks import make_ask
from tests.worker.conftest import StartWorker
from tests.worker.fake_engine import expected_answer
from tests.worker.processes import wait_for
from wire.ledger import Ledger
from wire.messages import EVENT, Ask, Done, Failed
from wire.queue import Queue
from wire.store import Store


def put(ledger: Ledger, queue: Queue, question: str, timeout_seconds: float = 60) -> Ask:
    ask = make_ask(question, timeout_seconds)
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
    wait_for(lambda: has_ended(ledger, *asks), 20, worker.log.read_text()[-2000:])
    for n, ask in enumerate(asks):
        done = ending(store, ask)
        assert isinstance(done, Done)
        assert done.answer == expected_answer(f"question {n}")
        assert done.model == "fake"
        assert done.timings.total_ms >= 20
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
    assert ledger.counters().imbalance == 0
