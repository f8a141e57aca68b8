"""Starts one Redis, and on it services that differ only in whether asks prefer a worker.

Each has a gateway and workers of its own, under a namespace and a queue of its own.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from json import dumps, loads
from pathlib import Path
from typing import Any

from launch.redis import free_port, prepare

ROOT = Path(__file__).parents[2]
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is started: workers per service, what each remembers, and what work takes."""

    workers: int
    albums_kept: int
    slots: int
    read_ms: float
    step_ms: float
    pocket: bool = False


@dataclass(frozen=True, slots=True)
class Service:
    """One gateway's port on 127.0.0.1."""

    port: int

    def call(self, method: str, path: str, body: bytes = b"", kind: str = "") -> dict[str, Any]:
        """One exchange; raises RuntimeError for any status but 2xx."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status // 100 != 2:
                raise RuntimeError(f"{path}: {answer.status} {text[:200]!r}")
            said: dict[str, Any] = loads(text)
            return said
        finally:
            connection.close()

    def put(self, data: bytes) -> str:
        """Store a picture; its id."""
        return str(self.call("POST", "/v1/images", data, "image/png")["id"])

    def ask(self, album: list[str], question: str) -> dict[str, Any]:
        """One ask about stored pictures, past the result cache."""
        images = [{"id": one} for one in album]
        body = {
            "question": question,
            "images": images,
            "cache": "off",
            "generation": {"max_tokens": 4},
        }
        return self.call("POST", "/v1/ask", dumps(body).encode(), "application/json")

    def workers(self) -> int:
        """How many workers are ready; 0 while nothing answers."""
        try:
            return int(self.call("GET", "/readyz")["workers"])
        except (OSError, RuntimeError, KeyError, ValueError):
            return 0


def _environment(plan: Plan, url: str, name: str, wait_seconds: float) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MYOPIA_")}
    return {
        **kept,
        "MYOPIA_REDIS_URL": url,
        "MYOPIA_NAMESPACE": name,
        "MYOPIA_QUEUE_NAME": f"{name}.asks",
        "MYOPIA_PREFILL_WAIT_SECONDS": str(wait_seconds),
        "MYOPIA_CONCURRENCY": str(plan.slots),
        "MYOPIA_TOKEN_INTERVAL_MS": "1000",
        "OMP_NUM_THREADS": "1",
        "BENCH_ALBUMS": str(plan.albums_kept),
        "BENCH_READ_MS": str(plan.read_ms),
        "BENCH_STEP_MS": str(plan.step_ms),
    }


@contextmanager
def running(folder: Path, plan: Plan, waits: dict[str, float]) -> Iterator[dict[str, Service]]:
    """A service per entry of `waits` (name to seconds that an ask is left to a worker), ready."""
    redis = prepare(folder / "redis")
    processes: list[subprocess.Popen[bytes]] = []

    def start(arguments: list[str], environment: dict[str, str], name: str) -> None:
        with (folder / f"{name}.log").open("ab") as out:
            processes.append(
                subprocess.Popen(
                    arguments, cwd=ROOT, env=environment, stdout=out, stderr=subprocess.STDOUT
                )
            )

    services = {name: Service(free_port()) for name in waits}
    try:
        start(redis.command(), dict(os.environ), "redis")
        module = "worker" if plan.pocket else "bench.affinity.worker"
        for name, service in services.items():
            environment = _environment(plan, redis.url, name, waits[name])
            gateway = {**environment, "MYOPIA_PORT": str(service.port)}
            start([sys.executable, "-m", "service"], gateway, f"{name}-gateway")
            for number in range(plan.workers):
                start([sys.executable, "-m", module], environment, f"{name}-{number}")
        until = time.monotonic() + START_SECONDS
        while any(service.workers() < plan.workers for service in services.values()):
            if time.monotonic() > until:
                raise TimeoutError(f"not ready after {START_SECONDS:.0f} s: see {folder}")
            time.sleep(0.3)
        yield services
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in reversed(processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
