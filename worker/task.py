"""The one Celery task: somebody said "look", so claim the ask whose turn it is and see it through.

Whatever goes wrong ends here: the ask fails with a code, and the message is spent. What an ask
says and how it is answered is not known here.
"""

import time
import uuid
from collections.abc import Callable

import structlog
from celery import Celery

from wire.errors import StoreUnavailable
from wire.queue import TASK
from wire.records import Claim, Later
from worker.drain import Drain
from worker.errand import RETRY_SECONDS, Errand, Tools
from worker.fatal import brief
from worker.gate import Gate
from worker.spans import worked
from worker.translate import to_failed

log = structlog.get_logger()


class Look:
    """What a thread of the pool does with one message."""

    def __init__(
        self, worker_id: str, tools: Tools, drain: Drain, note_message: Callable[[], None]
    ) -> None:
        self._worker_id, self._tools, self._drain = worker_id, tools, drain
        self._note_message = note_message
        self._gate = Gate()

    def __call__(self, look: str) -> None:
        """Claim and work; returns when nothing is left to do for this message."""
        self._note_message()
        with self._gate.together():
            if self._drain.has_begun:
                self._pass_on(look)
                return
            claim = self._claim(look)
            if claim is None:
                return
            if not claim.alone:
                self._work(claim)
                return
        # The last chance of an ask under which workers stopped: no neighbour may suffer from it.
        self._hold(claim)
        try:
            with self._gate.alone():
                if self._tools.ledger.start(claim.ask_id, claim.attempt):
                    self._work(claim)
        except StoreUnavailable:
            log.warning("ask left to the reaper", ask_id=claim.ask_id)
        finally:
            self._tools.leases.let_go(claim.ask_id, claim.attempt)

    def _claim(self, look: str) -> Claim | None:
        """Claim; what is left to another worker first is taken if that one does not come."""
        ledger, nonce = self._tools.ledger, uuid.uuid4().hex
        for leaving in (True, True, False):
            claim = self._patiently(
                look,
                lambda leaving=leaving: ledger.claim_or_leave(  # type: ignore[misc]
                    self._worker_id, look, nonce, leaving=leaving
                ),
            )
            if not isinstance(claim, Later):
                return claim
            if claim.first:
                self._call(claim)
            time.sleep(claim.seconds)
        return None

    def _patiently(
        self, look: str, claim: Callable[[], Claim | Later | None]
    ) -> Claim | Later | None:
        """Claim; a reply that was lost is asked for again, and gets the same claim."""
        give_up_at = time.monotonic() + self._tools.patience_seconds
        while True:
            try:
                return claim()
            except StoreUnavailable as error:
                if time.monotonic() > give_up_at:
                    log.error("claim given up", ask_id=look, cause=str(error))
                    return None
                time.sleep(RETRY_SECONDS)

    def _call(self, later: Later) -> None:
        """Tell the worker that has read an ask's pictures; if that fails, we take it soon."""
        try:
            self._tools.queue.call(later.worker_id, later.ask_id)
        except StoreUnavailable:
            log.debug("worker not called", worker_id=later.worker_id)

    def _work(self, claim: Claim) -> None:
        self._hold(claim)
        errand = Errand(self._tools, claim)
        with worked(claim, self._worker_id) as errand.work:
            self._see_through(claim, errand)

    def _see_through(self, claim: Claim, errand: Errand) -> None:
        try:
            with self._tools.tally.running.track_inprogress():
                errand.run()
        except Exception as error:
            failed = to_failed(error)
            if failed.code == "internal":
                log.error("ask failed", ask_id=claim.ask_id, cause=brief(error), exc_info=error)
            if failed.code == "unavailable":
                errand.give_back(None)
            else:
                errand.end(failed)
        finally:
            self._tools.leases.let_go(claim.ask_id, claim.attempt)

    def _hold(self, claim: Claim) -> None:
        self._tools.leases.hold(claim.ask_id, claim.attempt)

    def _pass_on(self, look: str) -> None:
        """Hand a message that came too late to the other workers."""
        try:
            self._tools.queue.send(look)
        except StoreUnavailable:
            log.warning("message left to the reaper", ask_id=look)


def register(app: Celery, look: Look) -> None:
    """Make `look` the app's one task."""

    @app.task(name=TASK, ignore_result=True, max_retries=0)  # type: ignore[untyped-decorator]
    def run(ask_id: str) -> None:
        look(ask_id)
