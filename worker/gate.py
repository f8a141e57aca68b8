"""Lets many threads work at once, or one alone: for an ask that may take the process down.

Whoever waits to be alone goes before newcomers. Nothing here knows asks or engines.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager


class Gate:
    """Shared by all threads that give the engine work."""

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._together = 0
        self._alone = False
        self._waiting_alone = 0

    @contextmanager
    def together(self) -> Generator[None]:
        """Work beside others; waits while somebody is, or waits to be, alone."""
        with self._change:
            self._change.wait_for(lambda: not self._alone and not self._waiting_alone)
            self._together += 1
        try:
            yield
        finally:
            with self._change:
                self._together -= 1
                self._change.notify_all()

    @contextmanager
    def alone(self) -> Generator[None]:
        """Work while nobody else does; never call it from inside `together`."""
        with self._change:
            self._waiting_alone += 1
            self._change.wait_for(lambda: not self._alone and not self._together)
            self._waiting_alone -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._change:
                self._alone = False
                self._change.notify_all()
