"""Waiting for what comes by itself."""

import time
from collections.abc import Callable


def eventually(holds: Callable[[], bool], seconds: float = 5) -> bool:
    """Whether it holds within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if holds():
            return True
        time.sleep(0.02)
    return False
