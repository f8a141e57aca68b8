"""One thread that owns the engine, and with it the device: adds, cancels, steps, hands out news.

Other threads speak to it through a queue, and hear from it through one outbox per ask. It
survives whatever a step raises; errors that no process survives it reports, and stops. Redis,
Celery and the wire are not known here.
"""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import structlog

from myopia.errors import MyopiaError
from myopia.params import Request
from myopia.report import Output
from worker.fatal import brief, is_fatal, ruins_device
from worker.forecast import Forecast

log = structlog.get_logger()
IDLE_SECONDS = 0.5
MOST_FAILURES = 3
"""Steps that throw one after the other before the engine is taken for broken."""


class EngineLike(Protocol):
    """What the runner asks of an engine."""

    @property
    def has_work(self) -> bool:
        """Whether a step would do anything."""

    def add(self, request: Request) -> None:
        """Take a request in; raises MyopiaError for one that cannot be run."""

    def cancel(self, ask_id: str) -> None:
        """Let go of a request, known or not."""

    def step(self) -> list[Output]:
        """Do one step for all rows."""


@dataclass(frozen=True, slots=True)
class Broke:
    """The engine failed under this ask and its neighbours; `error` is one line for the ledger."""

    error: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class LetGo:
    """The runner was told to drop this ask unfinished (drain, or the lease was lost)."""


News = Output | Broke | LetGo


class Outbox:
    """Where the news of one ask waits for its thread; `made` counts the tokens among them."""

    def __init__(self, most_tokens: int) -> None:
        self._news: queue.SimpleQueue[News] = queue.SimpleQueue()
        self.most_tokens, self.made = most_tokens, 0

    def put(self, news: News) -> None:
        """Add; never blocks."""
        if isinstance(news, Output):
            self.made += len(news.tokens)
        self._news.put(news)

    def get(self, timeout_seconds: float | None = None) -> News | None:
        """Take the oldest; None when the time passes without any."""
        try:
            return self._news.get(timeout=timeout_seconds)
        except queue.Empty:
            return None


@dataclass(frozen=True, slots=True)
class _Add:
    request: Request
    outbox: Outbox


@dataclass(frozen=True, slots=True)
class _Cancel:
    ask_id: str


@dataclass(frozen=True, slots=True)
class _Drop:
    ask_id: str


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


class Runner:
    """The thread, its inbox, and the outboxes of the asks that the engine has."""

    def __init__(self, engine: EngineLike, on_fatal: Callable[[str], None]) -> None:
        self._engine = engine
        self._on_fatal = on_fatal
        self._inbox: queue.SimpleQueue[_Add | _Cancel | _Drop | _Stop] = queue.SimpleQueue()
        self._outboxes: dict[str, Outbox] = {}
        # Cancelled for good, but not yet gone from the engine: a new attempt has to wait.
        self._leaving: dict[str, list[_Add]] = {}
        self._forecast = Forecast()
        self._failures = 0
        self._ticked_at = time.monotonic()
        self._broken: str | None = None
        self._running = True
        self._door = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="runner", daemon=True)

    @property
    def tick_age_seconds(self) -> float:
        """Time since the loop last turned; an idle loop turns too."""
        return time.monotonic() - self._ticked_at

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let go of whatever runs, and end the thread."""
        self._inbox.put(_Stop())
        self._thread.join(10)

    def submit(self, request: Request) -> Outbox:
        """Give the engine an ask; all its news comes to the returned outbox."""
        outbox = Outbox(request.sampling.max_tokens)
        with self._door:  # so that no ask slips in behind the last look at the inbox
            if self._broken is None:
                self._inbox.put(_Add(request, outbox))
            else:
                outbox.put(LetGo())
        return outbox

    def cancel(self, ask_id: str) -> None:
        """End an ask before the next step; its news ends with what the engine says of it."""
        self._inbox.put(_Cancel(ask_id))

    def drop(self, ask_id: str) -> None:
        """Forget an ask before the next step; its news ends with `LetGo`."""
        self._inbox.put(_Drop(ask_id))

    def seconds_left(self, ask_id: str) -> float | None:
        """How long an ask will probably still take; None for one that is not here (yet)."""
        outbox = self._outboxes.get(ask_id)
        if outbox is None:
            return None
        return self._forecast.seconds_left(outbox.made, outbox.most_tokens)

    def _run(self) -> None:
        while self._running:
            self._ticked_at = time.monotonic()
            self._obey()
            if not self._running or not self._engine.has_work:
                continue
            began = time.monotonic()
            try:
                outputs = self._engine.step()
            except Exception as error:
                self._broke(error)
                continue
            self._failures = 0
            self._note(outputs, time.monotonic() - began)
            for output in outputs:
                self._deliver(output)
        self._let_go_of_all()

    def _note(self, outputs: list[Output], seconds: float) -> None:
        if any(output.tokens for output in outputs):
            self._forecast.stepped(seconds)
        for output in outputs:
            if output.finished is not None and output.finished.reason != "cancelled":
                timings = output.finished.timings
                prefill = max(0.0, timings.first_token_ms - timings.queue_ms) / 1000
                self._forecast.finished(output.finished.usage.completion_tokens, prefill)

    def _obey(self) -> None:
        """Do what was asked; wait for it only when the engine has nothing to do."""
        try:
            wanted = self._inbox.get(timeout=0 if self._engine.has_work else IDLE_SECONDS)
            while True:
                self._do(wanted)
                wanted = self._inbox.get_nowait()
        except queue.Empty:
            return

    def _do(self, wanted: _Add | _Cancel | _Drop | _Stop) -> None:
        try:
            match wanted:
                case _Add():
                    self._add(wanted)
                case _Cancel(ask_id):
                    if ask_id in self._outboxes:
                        self._engine.cancel(ask_id)
                case _Drop(ask_id):
                    if ask_id in self._outboxes:
                        dropped = self._outboxes.pop(ask_id)
                        self._dismiss(ask_id)
                        dropped.put(LetGo())
                case _Stop():
                    self._running = False
        except Exception as error:
            self._broke(error)

    def _add(self, wanted: _Add) -> None:
        ask_id = wanted.request.ask_id
        if ask_id in self._leaving:
            self._leaving[ask_id].append(wanted)
            return
        self._outboxes[ask_id] = wanted.outbox
        try:
            self._engine.add(wanted.request)
        except MyopiaError as error:
            del self._outboxes[ask_id]
            wanted.outbox.put(Output(ask_id, failed=error))

    def _dismiss(self, ask_id: str) -> None:
        """Cancel a row whose ending nobody waits for any more."""
        self._leaving[ask_id] = []
        self._engine.cancel(ask_id)

    def _deliver(self, output: Output) -> None:
        cause = output.failed.__cause__ if output.failed is not None else None
        if isinstance(cause, Exception) and ruins_device(cause):
            self._broke(cause)  # the engine took it for this row's own trouble
            return
        if output.ask_id in self._leaving:
            if output.ends:
                for wanted in self._leaving.pop(output.ask_id):
                    self._add(wanted)
            return
        outbox = self._outboxes.get(output.ask_id)
        if outbox is None:
            return
        if output.ends:
            del self._outboxes[output.ask_id]
        outbox.put(output)

    def _broke(self, error: Exception) -> None:
        """Empty the engine; nobody knows which row was at fault, so each is given back."""
        cause = brief(error)
        self._failures += 1
        fatal = is_fatal(error) or self._failures > MOST_FAILURES
        log.error("engine failed", cause=cause, fatal=fatal, exc_info=error)
        victims, self._outboxes = self._outboxes, {}
        waiting = [wanted.outbox for adds in self._leaving.values() for wanted in adds]
        if fatal or not self._empty_engine(victims):
            fatal = True
            self._broken = cause
            self._running = False
            self._on_fatal(cause)  # before the news, so that no thread claims another ask
        for outbox in victims.values():
            outbox.put(Broke(cause, fatal))
        for outbox in waiting if fatal else ():
            outbox.put(LetGo())

    def _empty_engine(self, ask_ids: dict[str, Outbox]) -> bool:
        try:
            for ask_id in ask_ids:
                self._dismiss(ask_id)
        except Exception as error:
            log.error("engine cannot be emptied", cause=brief(error))
            return False
        return True

    def _let_go_of_all(self) -> None:
        with self._door:
            self._broken = self._broken or "stopped"
        while True:
            try:
                wanted = self._inbox.get_nowait()
            except queue.Empty:
                break
            if isinstance(wanted, _Add):
                wanted.outbox.put(LetGo())
        for outbox in self._outboxes.values():
            outbox.put(LetGo())
        self._outboxes.clear()
