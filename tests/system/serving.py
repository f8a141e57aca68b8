"""Starts `python -m launch` on a free port for a test, and stops it."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from launch.redis import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0
STOP_SECONDS = 60.0


@dataclass(frozen=True)
class Served:
    address: str
    process: subprocess.Popen[bytes]
    log: Path

    def children(self, room: str) -> list[int]:
        """Process ids of this launch's `python -m room`."""
        return [pid for pid, words in self._started() if room.encode() in words[1:]]

    def stores(self) -> list[int]:
        """Process ids of the Redis that this launch started."""
        return [pid for pid, words in self._started() if b"redis" in words[0]]

    def _started(self) -> list[tuple[int, list[bytes]]]:
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            if parent == self.process.pid:
                found.append((int(entry.name), command))
        return found


def status_of(address: str, path: str) -> int:
    """HTTP status of a GET, 0 where nothing answers."""
    try:
        with urllib.request.urlopen(address + path, timeout=3) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


def wait_until(condition: object, seconds: float, what: str) -> None:
    """Poll a callable until it is true."""
    assert callable(condition)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Served]:
    """The whole service as `make serve` starts it, on a port of its own."""
    port = free_port()
    log = folder / "serve.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MYOPIA_")},
        "MYOPIA_PORT": str(port),
        "MYOPIA_RUN_FOLDER": str(folder / "run"),
        **settings,
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "launch"],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    served = Served(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until(
            lambda: process.poll() is not None or status_of(served.address, "/readyz") == 200,
            START_SECONDS,
            f"readyz; {log.read_text()[-3000:]}",
        )
        assert process.poll() is None, log.read_text()[-3000:]
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
