"""A thread that does one thing every so often, and rides out a store that is down.

Nothing here knows what it does.
"""

import threading
from collections.abc import Callable

import structlog

from wire.errors import StoreUnavailable

log = structlog.get_logger()


class Ticker:
    """Calls `action` every `interval_seconds` until stopped."""

    def __init__(self, name: str, interval_seconds: float, action: Callable[[], None]) -> None:
        self._name, self._interval, self._action = name, interval_seconds, action
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start; the first call of `action` comes at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the call that runs."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _run(self) -> None:
        is_down = False
        while not self._stopping.is_set():
            try:
                self._action()
                if is_down:
                    log.info("store is back", ticker=self._name)
                is_down = False
            except StoreUnavailable as error:
                if not is_down:
                    log.warning("store is down", ticker=self._name, cause=str(error))
                is_down = True
            self._stopping.wait(self._interval)
