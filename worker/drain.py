"""Stopping without losing anything: what fits in the grace is finished, the rest given back.

SIGTERM begins it; a second one ends the grace at once. Celery stops taking messages by itself.
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
        """Claim no more; after the grace, let go of whatever still runs. Again: hurry."""
        if self._begun.is_set():
            self._hurry.set()
            return
        self._begun.set()
        log.info("draining", running=len(self._leases.held), grace_seconds=self._grace)
        threading.Thread(target=self._release_after_grace, name="drain", daemon=True).start()

    def _release_after_grace(self) -> None:
        self._hurry.wait(self._grace)
        while True:  # again and again: an ask may be on its way from its claim to the runner
            for ask_id, _ in self._leases.held:
                self._runner.drop(ask_id)
            time.sleep(AGAIN_SECONDS)
