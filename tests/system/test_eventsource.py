"""A browser's own EventSource on an ask: connections break, a gateway dies, nothing is missed."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.redis_server import free_port, redis_server, wire_settings
from tests.service.test_ask import body
from tests.system.browsing import chromium, window
from tests.worker.fake_engine import expected_answer
from tests.worker.processes import ROOT, WorkerProcess, wait_for
from wire.settings import WireSettings

__all__ = ["redis_server", "wire_settings"]
LISTEN = """path => {
  window.heard = [];
  window.opened = 0;
  const source = new EventSource(path);
  window.source = source;
  source.onopen = () => { window.opened += 1; };
  for (const kind of ["token", "done", "failed"])
    source.addEventListener(kind, (event) =>
      window.heard.push({kind, id: event.lastEventId, data: JSON.parse(event.data)}));
}"""


@dataclass
class Wire:
    """Carries bytes between a browser and a gateway, until it is cut."""

    target: int
    port: int = field(default_factory=free_port)
    pairs: list[socket.socket] = field(default_factory=list)

    def start(self) -> None:
        listening = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(listening,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            near, _ = listening.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                near.close()
                continue
            self.pairs += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Break every connection in the middle."""
        pairs, self.pairs = self.pairs, []
        for end in pairs:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@dataclass
class Gateway:
    wire: WireSettings
    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MYOPIA_")},
            "MYOPIA_REDIS_URL": self.wire.durable_url,
            "MYOPIA_PORT": str(self.port),
        }
        with (self.folder / "gateway.log").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service"],
                cwd=ROOT, env=environment, stdout=out, stderr=out,
            )  # fmt: skip
        wait_for(self.is_ready, 60, "the gateway")

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "gateway.log").read_text()[-2000:]
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def gateway(wire_settings: WireSettings, tmp_path: Path) -> Iterator[Gateway]:
    worker = WorkerProcess(wire_settings, tmp_path, FAKE_STEP_MS=100).start()
    running = Gateway(wire_settings, tmp_path)
    running.start()
    yield running
    running.kill()
    worker.kill()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.mark.slow
def test_nothing_is_missed_or_told_twice(browser: Any, gateway: Gateway) -> None:
    wire = Wire(gateway.port)
    wire.start()
    question = "steps=120"
    with window(browser) as page:
        page.goto(f"http://127.0.0.1:{wire.port}/docs")
        accepted = httpx.post(
            f"http://127.0.0.1:{gateway.port}/v1/ask",
            json=body(question=question),
            headers={"prefer": "respond-async"},
        )
        place = accepted.headers["location"] + "/events"
        page.evaluate(LISTEN, place)

        def heard() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = page.evaluate("heard")
            return found

        def until(count: int) -> None:
            page.wait_for_function("n => heard.length >= n", arg=count, timeout=60_000)

        until(3)
        wire.cut()
        page.wait_for_function("opened >= 2", timeout=30_000)
        until(len(heard()) + 3)
        gateway.kill()
        time.sleep(1)
        gateway.start()
        page.wait_for_function("opened >= 3", timeout=30_000)
        page.wait_for_function("heard.some((one) => one.kind != 'token')", timeout=60_000)
        # Told that nothing more comes, it stops by itself and does not come back for ever.
        page.wait_for_function("source.readyState === EventSource.CLOSED", timeout=30_000)
        told = heard()
    text = "".join(one["data"]["text"] for one in told if one["kind"] == "token")
    assert text == expected_answer(question), "a gap or a repeat"
    assert [one["kind"] for one in told].count("done") == 1
    assert told[-1]["data"]["answer"] == text
    places = [tuple(map(int, one["id"].partition("/")[2].split("-"))) for one in told]
    assert places == sorted(set(places))
