"""Starts what the load test runs against: Redis, gateway, a worker round an engine of 0 ms, floors.

The floors are a bare FastAPI echo and a bare Celery no-op on the same Redis, so that a noisy
machine can be told from a slow service. Everything listens on loopback and is stopped at the end.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

from launch.redis import EmbeddedRedis, free_port, prepare

ROOT = Path(__file__).parents[2]
WORKER = "tests.worker.fake_main"
START_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Stack:
    """Ports on 127.0.0.1, and the Redis behind them."""

    gateway: int
    echo: int
    redis: EmbeddedRedis
    start: Callable[[str], None]
    processes: dict[str, list[subprocess.Popen[bytes]]] = field(default_factory=dict)  # by module

    def add_workers(self, count: int, module: str = WORKER) -> None:
        """More worker processes, so that a crowd waits for the gateway alone."""
        wanted = self.workers() + count
        for _ in range(count):
            self.start(module)
        self._await_workers(wanted)

    def stop_workers(self) -> None:
        """End all workers."""
        for process in self.processes.pop(WORKER):
            stop(process)
        self._await_workers(0)

    def _await_workers(self, wanted: int) -> None:
        until = time.monotonic() + START_SECONDS
        while self.workers() != wanted:
            if time.monotonic() > until:
                raise TimeoutError(f"not {wanted} workers after {START_SECONDS:.0f} s")
            time.sleep(0.2)

    def workers(self) -> int:
        """Workers that the gateway sees."""
        with closing(HTTPConnection("127.0.0.1", self.gateway, timeout=2)) as connection:
            connection.request("GET", "/readyz")
            said = json.loads(connection.getresponse().read())
        return int(said.get("workers", 0))  # a problem says that there is none

    def processor_seconds(self, module: str) -> float:
        """Processor time that a process has used so far; 0 where the system does not tell."""
        try:
            stat = Path(f"/proc/{self.processes[module][0].pid}/stat").read_text()
        except OSError:
            return 0.0
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def answers(port: int, path: str) -> bool:
    """Whether a GET is answered with 200."""
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _start(arguments: list[str], environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as out:
        return subprocess.Popen(
            arguments, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process, by force if it takes too long."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def running(folder: Path, concurrency: int) -> Iterator[Stack]:
    """All processes up and ready; `concurrency` asks at once in the worker."""
    redis = prepare(folder / "redis")
    gateway, echo = free_port(), free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MYOPIA_")},
        "MYOPIA_REDIS_URL": redis.url,
        "MYOPIA_PORT": str(gateway),
        "MYOPIA_CONCURRENCY": str(concurrency),
        "MYOPIA_TOKEN_INTERVAL_MS": "0",
        "FAKE_STEP_MS": "0",
        "BENCH_PORT": str(echo),
    }
    python = sys.executable
    processes = {"redis": [_start(redis.command(), environment, folder / "redis-out.log")]}

    def start(module: str) -> None:
        begun = _start([python, "-m", module], environment, folder / f"{module}.log")
        processes.setdefault(module, []).append(begun)

    stack = Stack(gateway, echo, redis, start, processes)
    try:
        for module in (WORKER, "service", "bench.load.echo", "bench.load.celery_floor"):
            start(module)
        until = time.monotonic() + START_SECONDS
        while not (answers(stack.gateway, "/readyz") and answers(stack.echo, "/")):
            if time.monotonic() > until:
                raise TimeoutError(f"not ready after {START_SECONDS:.0f} s: see {folder}")
            time.sleep(0.2)
        yield stack
    finally:
        for module in reversed(processes):
            for process in processes[module]:
                stop(process)
