"""The worker round the real engine and the pocket model: asks through one real process.

The process has a calibration of the tests' own, so that `auto` settles where it says.
"""

import hashlib
import io
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from myopia.revision import revision_of
from tests.redis_server import RedisServer, emptied
from tests.wire.asks import make_ask
from tests.worker.calibrations import write
from tests.worker.processes import WorkerProcess, wait_for
from tests.worker.test_process import ending, has_ended
from wire.ledger import Ledger
from wire.mailbox import Mailbox
from wire.messages import Ask, Done, Failed, ImagePart, TextPart, Turn
from wire.queue import Queue
from wire.settings import WireSettings
from wire.store import Store
from wire.workers import Heartbeat
from worker.engines import model_folder

WEIGHTS = Path(model_folder("pocket"))
QUESTION = TextPart(text="Which image shows a red circle?")


def drawn(color: str) -> bytes:
    picture = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(picture).ellipse((12, 12, 52, 52), fill=color)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@dataclass
class Real:
    """A worker process with the pocket model, and what asks pass through."""

    settings: WireSettings
    worker: WorkerProcess
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self.settings)
        self.ledger, self.mailbox = Ledger(self.store), Mailbox(self.store)
        self.queue = Queue(self.settings)

    def asked(self, *parts: ImagePart | TextPart, **fields: Any) -> Ask:
        """An ask that is in the queue."""
        ask = make_ask(turns=(Turn(role="user", parts=parts),), **fields)
        self.ledger.submit(ask)
        self.queue.send(ask.ask_id)
        return ask

    def ended(self, *asks: Ask) -> list[Done | Failed]:
        wait_for(lambda: has_ended(self.ledger, *asks), 60, self.worker.log.read_text()[-2000:])
        return [ending(self.store, ask) for ask in asks]

    def shown(self, *colors: str) -> list[ImagePart]:
        """Pictures in the mailbox."""
        return [
            ImagePart(digest=self.mailbox.put_picture(drawn(color)), index=index)
            for index, color in enumerate(colors)
        ]


@pytest.fixture(scope="module")
def real(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """The worker, which must drain at the end."""
    folder, settings = tmp_path_factory.mktemp("real"), emptied(redis_server)
    table = write(folder / "table.json", revision=revision_of(WEIGHTS))
    worker = WorkerProcess(settings, folder, module="worker", MYOPIA_CALIBRATION=table).start()
    found = Real(settings, worker)
    yield found
    worker.send(signal.SIGTERM)
    try:
        assert worker.wait() == 0
    finally:
        worker.kill()
        found.store.close()


def test_pictures_get_an_answer_from_the_pocket_model(real: Real) -> None:
    pictures = real.shown("blue", "red", "green")
    assert pictures[0].digest == hashlib.sha256(drawn("blue")).hexdigest()
    damaged = real.mailbox.put_picture(drawn("blue")[:150])
    ask = real.asked(*pictures, QUESTION, explain=True)
    bad = real.asked(ImagePart(digest=damaged, index=0), QUESTION)
    done, failed = real.ended(ask, bad)
    assert isinstance(done, Done)
    assert done.answer
    assert done.model == "pocket"
    assert 0 < done.usage.kept_tokens < done.usage.image_tokens
    assert isinstance(failed, Failed)
    assert (failed.code, failed.image_index) == ("bad_image", 0)


def test_auto_is_settled_and_the_answer_says_why(real: Real) -> None:
    asked = real.asked(
        *real.shown("blue", "red"), QUESTION, options=("1", "2"), pruning={"budget": "auto"}
    )
    (done,) = real.ended(asked)
    assert isinstance(done, Done)
    assert done.budget_choice is not None
    assert (done.budget_choice.budget, done.budget_choice.kind) == (0.1, "choice")
    kept = (done.usage.kept_tokens + done.usage.bin_tokens) / done.usage.image_tokens
    assert kept == pytest.approx(0.1, abs=0.03)
    card = Heartbeat(real.store).live().cards[0]
    assert card.revision.startswith(f"{revision_of(WEIGHTS)}.")
