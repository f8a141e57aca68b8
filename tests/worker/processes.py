"""Starts and ends real worker processes for tests, and waits for what they do."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from wire.settings import WireSettings

ROOT = Path(__file__).parents[2]


def wait_for(condition: Callable[[], object], seconds: float = 60, what: str = "") -> None:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"not within {seconds} s: {what or condition}")
        time.sleep(0.02)


class WorkerProcess:
    """One `python -m tests.worker.fake_main` (or another module), its log in `folder`."""

    def __init__(
        self,
        wire: WireSettings,
        folder: Path,
        *,
        module: str = "tests.worker.fake_main",
        **settings: object,
    ) -> None:
        self.log = folder / f"worker-{time.monotonic_ns()}.log"
        self.module = module
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MYOPIA_")},
            "MYOPIA_REDIS_URL": wire.durable_url,
            "MYOPIA_BROKER_URL": wire.broker,
            "MYOPIA_LEASE_SECONDS": str(wire.lease_seconds),
            "MYOPIA_REAP_INTERVAL_SECONDS": "0.2",
            "MYOPIA_CONCURRENCY": "8",
            **{k: str(v) for k, v in settings.items()},
        }
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        return [sys.executable, "-m", self.module]

    def start(self) -> "WorkerProcess":
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self.command(),
                cwd=ROOT,
                env=self.environment,
                stdout=out,
                stderr=out,
            )
        return self

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def wait(self, seconds: float = 60) -> int:
        assert self.process is not None
        return self.process.wait(seconds)

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def said(self, words: str) -> bool:
        return words in self.log.read_text()

    def until_ready(self, seconds: float = 60) -> "WorkerProcess":
        wait_for(
            lambda: self.said("worker ready") or not self.is_alive,
            seconds,
            self.log.read_text()[-2000:],
        )
        assert self.is_alive, self.log.read_text()[-2000:]
        return self
