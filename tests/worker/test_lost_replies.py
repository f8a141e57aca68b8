"""A line to Redis that breaks after a script ran, before its reply came: nothing is told twice."""

import random
import selectors
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.worker.conftest import StartWorker
from tests.worker.fake_engine import expected_answer
from tests.worker.processes import wait_for
from tests.worker.test_process import ending, has_ended, put
from wire.ledger import Ledger
from wire.messages import Done
from wire.queue import Queue
from wire.settings import WireSettings
from wire.store import Store, script_digest


class BreakingLine:
    """Passes bytes between clients and Redis; of some commands it keeps the reply and hangs up."""

    def __init__(self, port: int, words: tuple[str, ...], share: float) -> None:
        self._to, self._words = port, tuple(word.encode() for word in words)
        self._share, self._random = share, random.Random(3)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self._to))
        with client, server, selectors.DefaultSelector() as either:
            either.register(client, selectors.EVENT_READ, server)
            either.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in either.select():
                    assert isinstance(key.fileobj, socket.socket)
                    data = key.fileobj.recv(1 << 16)
                    if not data:
                        return
                    key.data.sendall(data)
                    if key.data is server and self._breaks(data):
                        server.recv(1 << 16)
                        self.broken += 1
                        return

    def _breaks(self, data: bytes) -> bool:
        named = any(word in data for word in self._words)
        return named and self._random.random() < self._share


@pytest.fixture
def line(wire_settings: WireSettings) -> Iterator[BreakingLine]:
    port = urlsplit(wire_settings.durable_url).port
    assert port is not None
    line = BreakingLine(port, (script_digest("append"), script_digest("finish")), share=0.5)
    yield line
    line.close()


def test_lost_replies_repeat_no_text(
    ledger: Ledger,
    store: Store,
    queue: Queue,
    start_worker: StartWorker,
    wire_settings: WireSettings,
    line: BreakingLine,
) -> None:
    direct = wire_settings.durable_url
    behind = direct.replace(f":{urlsplit(direct).port}/", f":{line.port}/")
    worker = start_worker(FAKE_STEP_MS=20, MYOPIA_REDIS_URL=behind, MYOPIA_LEASE_SECONDS=10)
    questions = [f"{n} steps=20" for n in range(12)]
    asks = [put(ledger, queue, question) for question in questions]
    wait_for(lambda: has_ended(ledger, *asks), 60, worker.log.read_text()[-3000:])
    for question, ask in zip(questions, asks, strict=True):
        done = ending(store, ask)
        assert isinstance(done, Done)
        assert done.answer == expected_answer(question)
    assert line.broken > 20
    totals = ledger.counters()
    assert (totals.done, totals.imbalance) == (12, 0)
