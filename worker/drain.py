"""Stopping without losing anything: what fits in the grace is finished, the rest given back.

SIGTERM begins it; a second one ends the grace at once. Celery stops taking messages by itself.
What will not fit goes at once, so that another worker has the time that is left for it.
"""

import threading
import time

import structlog

from worker.leases import Leases
from worker.runner import Runner

log = structlog.get_logger()
AGAIN_SECONDS = 0.1


class Drain:
    """The end of a worker, once begun never taken back."""

    def __init__(self, leases: Leases, runner: Runner, grace_seconds: float) -> None:
        self._leases, self._runner, self._grace = leases, runner, grace_seconds
        self._begun = threading.Event()
        self._hurry = threading.Event()

    @property
    def has_begun(self) -> bool:
        """Whether no more asks are to be claimed."""
        return self._begun.is_set()

    def begin(self) -> None:
        """Claim no more; let go of what will not end within the grace. Again: hurry."""
        if self._begun.is_set():
            self._hurry.set()
            return
        self._begun.set()
        log.info("draining", running=len(self._leases.held), grace_seconds=self._grace)
        threading.Thread(target=self._release, name="drain", daemon=True).start()

    def _release(self) -> None:
        """Look again and again: forecasts change, and an ask may be on its way to the runner."""
        end = time.monotonic() + self._grace
        while True:
            left = 0.0 if self._hurry.is_set() else end - time.monotonic()
            for ask_id, _ in self._leases.held:
                needs = self._runner.seconds_left(ask_id)
                if left <= 0 or (needs is not None and needs > left):
                    self._runner.drop(ask_id)
                    log.debug("let go", ask_id=ask_id, needs_seconds=needs, left_seconds=left)
            if left > 0:
                self._hurry.wait(AGAIN_SECONDS)
            else:
                time.sleep(AGAIN_SECONDS)
