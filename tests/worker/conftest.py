"""What the tests of the worker share: a real Redis, its ledger, and worker processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.redis_server import redis_server, wire_settings
from tests.wire.conftest import ledger, store
from tests.worker.processes import WorkerProcess
from wire.queue import Queue
from wire.settings import WireSettings

__all__ = ["ledger", "redis_server", "store", "wire_settings"]
StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def queue(wire_settings: WireSettings) -> Queue:
    return Queue(wire_settings)


@pytest.fixture
def start_worker(wire_settings: WireSettings, tmp_path: Path) -> Iterator[StartWorker]:
    started: list[WorkerProcess] = []

    def start(**settings: object) -> WorkerProcess:
        worker = WorkerProcess(wire_settings, tmp_path, **settings).start()  # type: ignore[arg-type]
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
