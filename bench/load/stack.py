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
    pids: dict[str, int] = field(default_factory=dict)  # by module
    start: Callable[[str], None] = field(default=lambda _: None)

    def add_workers(self, count: int) -> None:
        """More worker processes beside the first, so that a crowd waits for the gateway alone."""
        wanted = self.workers() + count
        for _ in range(count):
            self.start(WORKER)
        until = time.monotonic() + START_SECONDS
        while self.workers() < wanted:
            if time.monotonic() > until:
                raise TimeoutError(f"no {wanted} workers after {START_SECONDS:.0f} s")
            time.sleep(0.2)

    def workers(self) -> int:
        """Workers that the gateway sees."""
        with closing(HTTPConnection("127.0.0.1", self.gateway, timeout=2)) as connection:
            connection.request("GET", "/readyz")
            return int(json.loads(connection.getresponse().read())["workers"])

    def processor_seconds(self, module: str) -> float:
        """Processor time that a process has used so far; 0 where the system does not tell."""
        try:
            stat = Path(f"/proc/{self.pids[module]}/stat").read_text()
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
    processes = [_start(redis.command(), environment, folder / "redis-out.log")]

    def start(module: str) -> None:
        processes.append(_start([python, "-m", module], environment, folder / f"{module}.log"))
        stack.pids.setdefault(module, processes[-1].pid)

    stack = Stack(gateway, echo, redis, {}, start)
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
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
