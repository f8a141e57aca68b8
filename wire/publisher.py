"""Sends messages from a thread of its own, so that whoever lets asks in never waits for a broker.

A message that is not sent is only late: the ledger's reaper sends it again. What a message is
about is not known here.
"""

import queue
import threading

import structlog

from wire.errors import StoreUnavailable
from wire.queue import Queue

CLOSE_SECONDS = 2.0
log = structlog.get_logger(__name__)


class Publisher:
    """One thread that sends what was posted, in order; it starts with the first message."""

    def __init__(self, sender: Queue) -> None:
        self._sender = sender
        self._posted: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def post(self, ask_id: str) -> None:
        """Have a worker told to look, soon; returns at once and never fails."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
            self._thread.start()
        self._posted.put(ask_id)

    def close(self) -> None:
        """Send what is left, for at most two seconds."""
        if self._thread is not None:
            self._posted.put(None)
            self._thread.join(CLOSE_SECONDS)

    def _run(self) -> None:
        while (ask_id := self._posted.get()) is not None:
            try:
                self._sender.send(ask_id)
            except StoreUnavailable:
                if self._drop(1):
                    return

    def _drop(self, unsent: int) -> bool:
        """Leave what waits to the reaper: each would wait for the broker as long; True: closed."""
        closed = False
        while not (closed or self._posted.empty()):
            closed = self._posted.get() is None
            unsent += not closed
        log.warning("messages not sent; the reaper will send them", messages=unsent)
        return closed
