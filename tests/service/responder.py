"""A scripted worker: takes messages from the real queue, claims in the real ledger, and answers.

No torch. A test says what an ask gets by a function of the wire's Ask; numbers in between are
seconds to wait. What it saw stays in `asks`.
"""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from wire.ledger import Ledger
from wire.mailbox import Mailbox
from wire.messages import Ask, Done, Failed, Timings, Token, Usage
from wire.records import Claim, Piece
from wire.settings import WireSettings
from wire.store import Store
from wire.workers import Card, Heartbeat

Step = Token | Done | Failed | float
Script = Callable[[Ask], Iterator[Step]]
FACTS = {
    "context": 4096,
    "name": "pocket",
    "revision": "r1",
    "layers": 6,
    "kv_bytes_per_token": 6144,
    "tile": 64,
    "base_tokens": 16,
    "patch": 16,
    "pinpoints": [[64, 64], [64, 128], [128, 64], [128, 128]],
}


def done(answer: str, **fields: object) -> Done:
    usage = Usage(
        prompt_tokens=50,
        text_tokens=18,
        image_tokens=32,
        kept_tokens=6,
        completion_tokens=1,
        kv_bytes=100,
        kv_bytes_full=400,
        budget_effective=0.2,
    )
    whole = {"model": "pocket", "answer": answer, "finish_reason": "stop", "usage": usage}
    return Done.model_validate({**whole, "timings": Timings(prefill_ms=3, total_ms=5), **fields})


def echo(ask: Ask) -> Iterator[Step]:
    """Answer in two pieces: how many pictures there are, and the question."""
    parts = ask.turns[-1].parts
    pictures = sum(part.kind == "image" for part in parts)
    answer = f"{pictures} {parts[-1].text if parts[-1].kind == 'text' else ''}"
    yield Token(text=answer[:2])
    yield Token(text=answer[2:])
    yield done(answer)


class Responder:
    """Runs until stopped; `script` may be changed between asks."""

    def __init__(self, settings: WireSettings, capacity: int = 16) -> None:
        self.settings, self.capacity = settings, capacity
        self.script: Script = echo
        self.asks: list[Ask] = []
        self.cancelled: list[str] = []
        self.draining = False
        self.store = Store(settings)
        self.ledger, self.mailbox = Ledger(self.store), Mailbox(self.store)
        self._looked_at = time.monotonic()
        self._stopping = threading.Event()
        self._idle = threading.Event()
        self._pool = ThreadPoolExecutor(capacity)

    def card(self) -> Card:
        return Card(
            worker_id="responder",
            model="pocket",
            revision="r1",
            facts=FACTS,
            capacity=self.capacity,
            running=0,
            idle_seconds=time.monotonic() - self._looked_at,
            draining=self.draining,
        )

    def run(self) -> None:
        heart, beaten = Heartbeat(self.store), 0.0
        while not self._stopping.is_set():
            if time.monotonic() - beaten > 0.5:
                heart.beat(self.card())
                beaten = time.monotonic()
            if self._idle.is_set():
                time.sleep(0.02)
                continue
            popped = self.store.text.brpop([self.settings.queue_name], timeout=0.1)
            if popped:
                self._looked_at = time.monotonic()
                body = base64.b64decode(json.loads(popped[1])["body"])
                self._take(json.loads(body)[0][0])
        heart.leave("responder")

    def _take(self, look: str) -> None:
        claim = self.ledger.claim("responder", look)
        if claim is not None:
            self.asks.append(claim.ask)
            self._pool.submit(self._work, claim)

    def _work(self, claim: Claim) -> None:
        try:
            self._follow_script(claim)
        except Exception as error:
            failed = Failed(code="internal", detail=f"The test's script broke: {error!r}")
            self.ledger.finish(claim.ask.ask_id, claim.attempt, "failed", failed)

    def _follow_script(self, claim: Claim) -> None:
        ask_id, attempt = claim.ask.ask_id, claim.attempt
        sent = 0
        for step in self.script(claim.ask):
            if isinstance(step, float):
                self._wait(ask_id, attempt, step)
                if ask_id in self.cancelled:
                    self.ledger.finish(
                        ask_id, attempt, "cancelled", Failed(code="cancelled", detail="Cancelled.")
                    )
                    return
            elif isinstance(step, Token):
                piece = Piece(step.text, sent)
                self.ledger.append(ask_id, attempt, piece)
                sent = piece.end
            else:
                self.ledger.finish(ask_id, attempt, step.kind, step)
                return

    def _wait(self, ask_id: str, attempt: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and not self._stopping.is_set():
            time.sleep(0.02)
            if self.ledger.renew([(ask_id, attempt)]) != ("kept",):
                self.cancelled.append(ask_id)
                return

    def stop_taking(self) -> None:
        """Stay on the list of workers and take nothing up."""
        self._idle.set()
        time.sleep(0.15)

    def stop(self) -> None:
        self._stopping.set()
        self._pool.shutdown()
        self.store.close()


@contextmanager
def responding(settings: WireSettings) -> Iterator[Responder]:
    """A responder in a thread, on the list of live workers before this returns."""
    responder = Responder(settings)
    Heartbeat(responder.store).beat(responder.card())
    thread = threading.Thread(target=responder.run, daemon=True)
    thread.start()
    yield responder
    responder._stopping.set()
    thread.join()
    responder.stop()
