"""`python -m bench.load.answerer`: claims in the ledger and answers at once, without Celery.

Three trips to Redis an ask, so that a crowd on one machine finds the gateway's own limit and not
the workers'. Knows nothing of engines.
"""

import base64
import json
import signal
import threading
import time
from typing import Any

from wire.ledger import Ledger
from wire.messages import Done, Usage
from wire.records import Piece
from wire.settings import WireSettings
from wire.store import Store
from wire.workers import Card, Heartbeat

NAME = "answerer"
DONE = Done(
    model="fake",
    answer="a b",
    finish_reason="stop",
    usage=Usage(
        prompt_tokens=50,
        text_tokens=18,
        image_tokens=32,
        kept_tokens=6,
        completion_tokens=2,
        kv_bytes=100,
        kv_bytes_full=400,
        budget_effective=0.2,
    ),
)
LAST = Piece(DONE.answer, 0)


def card(capacity: int) -> Card:
    """What the answerer says of itself; the model of the fake worker."""
    return Card(
        worker_id=NAME,
        model="fake",
        revision="fake-1",
        facts={"name": "fake", "context": 4096},
        capacity=capacity,
        running=0,
        idle_seconds=0.0,
        draining=False,
    )


def main() -> None:
    """Answer until told to stop."""
    settings = WireSettings()
    store = Store(settings)
    ledger, heart, stopping = Ledger(store), Heartbeat(store), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    beaten = float("-inf")
    while not stopping.is_set():
        if time.monotonic() - beaten > 0.5:
            heart.beat(card(1000))
            beaten = time.monotonic()
        popped: Any = store.text.brpop([settings.queue_name], timeout=0.3)  # below the socket's
        if popped:
            look = json.loads(base64.b64decode(json.loads(popped[1])["body"]))[0][0]
            claim = ledger.claim(NAME, look)
            if claim is not None:
                ledger.finish(claim.ask_id, claim.attempt, "done", DONE, LAST)
    heart.leave(NAME)


if __name__ == "__main__":
    main()
