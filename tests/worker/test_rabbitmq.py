"""RabbitMQ as the broker, by configuration alone, against a real server where there is one."""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.redis_server import free_port
from tests.service.pictures import plain
from tests.wire.test_preference import about
from tests.worker.processes import WorkerProcess, wait_for
from tests.worker.test_process import has_ended, put
from wire.errors import StoreUnavailable
from wire.ledger import Ledger
from wire.queue import Queue
from wire.settings import WireSettings
from wire.store import Store
from wire.workers import Heartbeat

# Debian's script on the PATH changes the user; the one behind it does not.
BINARY = shutil.which("rabbitmq-server", path="/usr/lib/rabbitmq/bin") or shutil.which(
    "rabbitmq-server"
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BINARY is None, reason="no rabbitmq-server on this machine"),
]


@pytest.fixture(scope="module")
def rabbit_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    assert BINARY is not None
    folder, port = tmp_path_factory.mktemp("rabbit"), free_port()
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.local = 127.0.0.1:{port}\nlisteners.tcp.default = none\n"
    )
    environment = {
        **os.environ,
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"myopia{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_BASE": str(folder),
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",
    }
    log = (folder / "out.log").open("ab")
    server = subprocess.Popen(
        [BINARY], cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
    )
    url = f"amqp://guest:guest@127.0.0.1:{port}//"
    until = time.monotonic() + 60
    while True:
        queue = Queue(WireSettings(broker_url=SecretStr(url), queue_name="probe"))
        try:
            queue.send("ask_probe")
            break
        except StoreUnavailable:
            if time.monotonic() > until or server.poll() is not None:
                pytest.fail((folder / "out.log").read_text()[-2000:])
            time.sleep(0.5)
        finally:
            queue.close()
    yield url
    os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    epmd = shutil.which("epmd")
    if epmd is not None:  # Erlang leaves its port mapper running
        subprocess.run([epmd, "-kill"], env=environment, capture_output=True, check=False)


def test_asks_are_answered_and_a_killed_worker_s_are_taken_over(
    rabbit_url: str, wire_settings: WireSettings, tmp_path: Path
) -> None:
    settings = wire_settings.model_copy(update={"broker_url": SecretStr(rabbit_url)})
    store = Store(settings)
    ledger, queue = Ledger(store), Queue(settings)
    first = WorkerProcess(settings, tmp_path, FAKE_STEP_MS=20).start().until_ready()
    asks = [put(ledger, queue, f"{n} steps=30") for n in range(16)]
    wait_for(lambda: ledger.counters().running == 8)
    first.kill()
    second = WorkerProcess(settings, tmp_path, FAKE_STEP_MS=5).start()
    try:
        wait_for(lambda: has_ended(ledger, *asks), 30, second.log.read_text()[-3000:])
        totals = ledger.counters()
        assert (totals.done, totals.imbalance) == (16, 0)
        assert store.text.llen("myopia.asks") == 0
        second.send(signal.SIGTERM)
        assert second.wait() == 0
    finally:
        second.kill()
        queue.close()
        store.close()


def test_workers_are_called_by_queues_of_their_own(
    rabbit_url: str, wire_settings: WireSettings, tmp_path: Path
) -> None:
    """Asks about an album stay with one of two workers, which others call through RabbitMQ."""
    settings = wire_settings.model_copy(
        update={"broker_url": SecretStr(rabbit_url), "queue_name": "myopia.albums"}
    )
    store = Store(settings)
    ledger, queue = Ledger(store), Queue(settings)
    workers = [
        WorkerProcess(settings, tmp_path, FAKE_STEP_MS=5, MYOPIA_QUEUE_NAME="myopia.albums").start()
        for _ in range(2)
    ]
    try:
        wait_for(lambda: len(Heartbeat(store).live().takers) == 2)
        owners: dict[int, Counter[str]] = {}
        for number in [0, 1, 2, 3] * 6:
            ask = about(ledger, store, number, data=plain())
            queue.send(ask.ask_id)
            wait_for(lambda ask=ask: has_ended(ledger, ask))  # type: ignore[misc]
            record = ledger.get(ask.ask_id)
            assert record is not None
            assert record.state == "done"
            assert record.owner is not None
            owners.setdefault(number, Counter())[record.owner] += 1
        assert sum(max(seen.values()) for seen in owners.values()) >= 21, owners
    finally:
        for worker in workers:
            worker.kill()
        queue.close()
        store.close()
