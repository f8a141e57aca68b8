"""Redis killed and started again under a working worker: it lives, and everything is answered."""

import time

from tests.redis_server import RedisServer
from tests.worker.conftest import StartWorker
from tests.worker.processes import wait_for
from tests.worker.test_process import ending, has_ended, put
from wire.ledger import Ledger
from wire.messages import Done
from wire.queue import Queue
from wire.store import Store


def test_restarts_cost_no_worker_and_no_ask(
    ledger: Ledger,
    store: Store,
    queue: Queue,
    start_worker: StartWorker,
    redis_server: RedisServer,
) -> None:
    worker = start_worker(FAKE_STEP_MS=20, MYOPIA_LEASE_SECONDS=3)
    worker.until_ready()
    asks = []
    for round_number in range(2):
        asks += [put(ledger, queue, f"{round_number} {n} steps=15") for n in range(10)]
        time.sleep(0.4)
        redis_server.restart(down_seconds=0.5)
    wait_for(lambda: has_ended(ledger, *asks), 60, worker.log.read_text()[-3000:])
    assert worker.is_alive
    for ask in asks:
        assert isinstance(ending(store, ask), Done)
    totals = ledger.counters()
    assert (totals.done, totals.imbalance) == (20, 0)
