"""Two real worker processes: asks about an album go to one of them, and to the other if it must."""

import time
from collections import Counter

from tests.service.pictures import plain
from tests.wire.test_preference import about
from tests.worker.conftest import StartWorker
from tests.worker.processes import WorkerProcess, wait_for
from wire.ledger import Ledger
from wire.messages import Ask
from wire.queue import Queue
from wire.store import Store
from wire.workers import Heartbeat

PICTURE = plain()


def both(start_worker: StartWorker, store: Store, **settings: object) -> tuple[WorkerProcess, ...]:
    workers = tuple(start_worker(FAKE_STEP_MS=5, **settings) for _ in range(2))
    wait_for(lambda: len(Heartbeat(store).live().takers) == 2)
    return workers


def put(ledger: Ledger, store: Store, queue: Queue, album: int, **fields: object) -> Ask:
    ask = about(ledger, store, album, data=PICTURE, **fields)
    queue.send(ask.ask_id)
    return ask


def until_ended(ledger: Ledger, ask: Ask) -> str:
    """Who answered."""
    wait_for(lambda: ledger.get(ask.ask_id).state not in ("queued", "running"))  # type: ignore[union-attr]
    record = ledger.get(ask.ask_id)
    assert record is not None
    assert record.state == "done"
    assert record.owner is not None
    return record.owner


def test_an_album_stays_with_one_worker(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    # the longest wait there is: a crowded machine may take 50 ms to wake the owner
    both(start_worker, store, MYOPIA_PREFILL_WAIT_SECONDS=0.15)
    owners: dict[int, Counter[str]] = {}
    for album in [0, 1, 2, 3, 4, 5] * 8:
        who = until_ended(ledger, put(ledger, store, queue, album))
        owners.setdefault(album, Counter())[who] += 1
    at_home = sum(max(seen.values()) for seen in owners.values())
    # by chance 30.6 of 48 would be, give or take 2.2
    assert at_home >= 39, owners
    assert ledger.counters().imbalance == 0


def test_whoever_is_killed_is_not_waited_for_long(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    one, _ = both(start_worker, store, MYOPIA_HEARTBEAT_TTL_SECONDS=60)
    one.kill()  # and its card stays
    began = time.monotonic()
    for album in range(8):
        until_ended(ledger, put(ledger, store, queue, album))
    assert time.monotonic() - began < 8 * 1.0
    assert ledger.counters().lost_leases == 0


def test_calls_leave_nothing_behind(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    workers = both(start_worker, store)
    for album in range(6):
        until_ended(ledger, put(ledger, store, queue, album))
    for worker in workers:
        worker.process.terminate()  # type: ignore[union-attr]
        assert worker.wait() == 0
    left = [key for key in store.text.scan_iter("*") if "myopia.asks." in key]
    assert left == []
    assert store.text.hgetall("myopia:slots") == store.text.hgetall("myopia:busy") == {}
