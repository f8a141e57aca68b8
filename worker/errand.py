"""One ask from its claim to its ending: the news of the runner become events in the mailbox.

Pieces of text travel together when they are made close in time. Every way out of here ends the
ask or gives it back. Celery and the engine's inside are not known here.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from myopia.pictures import PictureLimits
from myopia.report import Output
from wire.errors import StoreUnavailable
from wire.ledger import Ledger
from wire.mailbox import Mailbox
from wire.messages import Done, Failed
from wire.queue import Queue
from wire.records import Claim, Finished, Told
from worker.calibration import Calibration, settle
from worker.fetching import patient
from worker.leases import Leases
from worker.runner import Broke, LetGo, News, Outbox, Runner
from worker.shadow import Shadow
from worker.spans import Work
from worker.streaming import Retracing, Stream
from worker.tally import Tally
from worker.translate import ending_state, to_done, to_failed, to_request

T = TypeVar("T")
log = structlog.get_logger()
RETRY_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Tools:
    """What every errand of this process uses."""

    ledger: Ledger
    mailbox: Mailbox
    queue: Queue
    runner: Runner
    leases: Leases
    tally: Tally
    model: str
    limits: PictureLimits
    token_interval_seconds: float
    patience_seconds: float
    stopping: Callable[[], bool]
    calibration: Calibration | None
    shadow: Shadow


class Errand:
    """The work on one claim; `run` returns when the ask ended, was given back, or was lost."""

    def __init__(self, tools: Tools, claim: Claim) -> None:
        self._tools, self._claim = tools, claim
        self.work = Work()
        self._retracing = Retracing(claim.streamed)
        self._stream = Stream()
        self._send_at = 0.0

    def run(self) -> None:
        """Translate, submit, and pass the news on up to the ending."""
        tools, claim = self._tools, self._claim
        tools.shadow.make_way()
        fetch = patient(
            tools.mailbox.picture,
            deadline=claim.deadline,
            patience_seconds=tools.patience_seconds,
            stopping=tools.stopping,
        )
        ask, choice = settle(claim.ask, tools.calibration)
        request = to_request(ask, claim.deadline, fetch, tools.limits)
        outbox = tools.runner.submit(request)
        while True:
            news = self._next(outbox)
            match news:
                case Output(finished=None, failed=None):
                    self._hear(news.text)
                case Output(failed=None, finished=finished) if finished is not None:
                    self._hear(news.text)
                    self.work.engine(finished)
                    done = to_done(
                        finished,
                        model=tools.model,
                        queue_ms=claim.queue_ms,
                        warnings=self._retracing.warnings,
                        budget_choice=choice,
                    )
                    tools.shadow.offer(request, finished)
                    return self.end(done)
                case Output(failed=failed) if failed is not None:
                    return self.end(to_failed(failed))
                case Broke(error=error):
                    return self.give_back(error)
                case LetGo():
                    return self.give_back(None)

    def end(self, ending: Done | Failed) -> None:
        """Bring the one ending to the ledger, also when it has to come back first."""
        claim, state = self._claim, ending_state(ending)

        def finish() -> Finished | Told:
            last = self._stream.rest
            return self._tools.ledger.finish(claim.ask_id, claim.attempt, state, ending, last)

        while isinstance(word := self._insist(finish), Told):
            self._stream.told = word.characters
        self._tools.tally.ended(word, ending)
        self.work.ended(ending)
        log.info("ask ended", ask_id=claim.ask_id, state=state, ledger=word, attempt=claim.attempt)

    def give_back(self, blame: str | None) -> None:
        """Return the ask to the queue; with blame when the engine failed under it."""
        claim, tools = self._claim, self._tools
        if self._stream.rest.text:
            self._send()
        word = self._insist(lambda: tools.ledger.release(claim.ask_id, claim.attempt, blame=blame))
        if word == "queued":
            self._insist(lambda: tools.queue.send(claim.ask_id))
        tools.tally.given_back(word)
        self.work.given_back(blame)
        log.warning("ask given back", ask_id=claim.ask_id, ledger=word, cause=blame)

    def _next(self, outbox: Outbox) -> News:
        """Wait for news, and meanwhile send what is due."""
        while True:
            waits = bool(self._stream.rest.text)
            wait = max(0.0, self._send_at - time.monotonic()) if waits else None
            news = outbox.get(wait)
            if waits and (news is None or time.monotonic() >= self._send_at):
                self._send()
            if news is not None:
                return news

    def _hear(self, text: str) -> None:
        self._stream.text += self._retracing.fresh(text)
        if self._stream.rest.text and time.monotonic() >= self._send_at:
            self._send()

    def _send(self) -> None:
        """Send the text that waits; a store that is down gets it with the next piece."""
        claim, tools, piece = self._claim, self._tools, self._stream.rest
        self._send_at = time.monotonic() + tools.token_interval_seconds
        try:
            word = tools.ledger.append(claim.ask_id, claim.attempt, piece)
        except StoreUnavailable:
            self._send_at += RETRY_SECONDS
            return
        if isinstance(word, Told):
            self._stream.told, self._send_at = word.characters, 0.0
            return
        self._stream.told = piece.end
        if word == "lost":
            tools.runner.drop(claim.ask_id)
        elif word == "cancel":
            tools.runner.cancel(claim.ask_id)

    def _insist(self, call: Callable[[], T]) -> T | None:
        """Repeat a call while the store is down; None after `patience_seconds`."""
        give_up_at = time.monotonic() + self._tools.patience_seconds
        while True:
            try:
                return call()
            except StoreUnavailable as error:
                if time.monotonic() > give_up_at:
                    log.error("store stays down", ask_id=self._claim.ask_id, cause=str(error))
                    return None
                time.sleep(RETRY_SECONDS)
