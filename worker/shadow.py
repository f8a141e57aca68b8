"""Asks a share of what was answered once more, with the whole cache, while nobody waits.

Nothing of it reaches the ledger, the mailbox or an asker: only how often the answers agree is
counted. Which asks are live is told from outside; no Redis, no wire.
"""

import random
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from myopia.params import Pruning, Request
from myopia.report import Finished, Output
from worker.runner import Outbox, Runner
from worker.tally import Tally

PREFIX = "shadow_"
# Requests hold their pictures, decoded: a few are enough, and the newest say most.
MOST_WAITING = 4
POLL_SECONDS = 0.2


class Shadow:
    """The asks that wait to be asked again, and the one that is."""

    def __init__(
        self, runner: Runner, tally: Tally, share: float, is_idle: Callable[[], bool]
    ) -> None:
        self._runner, self._tally, self._share, self._is_idle = runner, tally, share, is_idle
        self._waiting: deque[tuple[Request, str]] = deque(maxlen=MOST_WAITING)
        self._chance = random.Random()
        self._lock = threading.Lock()
        self._asked: str | None = None

    def offer(self, request: Request, finished: Finished) -> None:
        """Take an answered ask for asking again, by chance and if it can tell anything."""
        tells = request.sampling.temperature == 0 and finished.reason != "cancelled"
        if tells and prunes(request.pruning) and self._chance.random() < self._share:
            self._waiting.append((request, finished.answer))

    def make_way(self) -> None:
        """A live ask comes: let go of the shadow's before the engine's next step."""
        with self._lock:
            if self._asked is not None:
                self._runner.drop(self._asked)

    def tick(self) -> None:
        """Ask one of the waiting again, if nobody else wants the engine; returns when it ended."""
        while self._waiting and self._is_idle():
            request, answer = self._waiting.pop()
            again = replace(
                request,
                ask_id=PREFIX + request.ask_id,
                pruning=Pruning(policy="full", budget=1.0),
                deadline=None,
                explain=False,
            )
            with self._lock:
                outbox, self._asked = self._runner.submit(again), again.ask_id
            if not self._is_idle():  # a live ask came between the look and the submission
                self.make_way()
            said = self._listen(outbox)
            with self._lock:
                self._asked = None
            self._tally.shadowed(None if said is None else said == answer)

    @staticmethod
    def _listen(outbox: Outbox) -> str | None:
        """The answer; None where it was let go or failed."""
        while True:
            news = outbox.get()
            match news:
                case Output(finished=None, failed=None):
                    continue
                case Output(finished=finished) if finished is not None:
                    return finished.answer
                case _:
                    return None


def prunes(pruning: Pruning) -> bool:
    """Whether the answer could differ from the whole cache's at all."""
    return pruning.policy != "full" and pruning.budget < 1
