"""The worker round the real engine and the pocket model: one ask through real processes."""

import hashlib
import io
import signal

from PIL import Image, ImageDraw

from tests.wire.asks import make_ask
from tests.worker.conftest import StartWorker
from tests.worker.processes import wait_for
from tests.worker.test_process import ending, has_ended
from wire.ledger import Ledger
from wire.mailbox import Mailbox
from wire.messages import Done, Failed, ImagePart, TextPart, Turn
from wire.queue import Queue
from wire.store import Store


def drawn(color: str) -> bytes:
    picture = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(picture).ellipse((12, 12, 52, 52), fill=color)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def test_pictures_get_an_answer_from_the_pocket_model(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker
) -> None:
    mailbox = Mailbox(store)
    pictures = [drawn(color) for color in ("blue", "red", "green")]
    digests = [mailbox.put_picture(data) for data in pictures]
    assert digests[0] == hashlib.sha256(pictures[0]).hexdigest()
    parts = [ImagePart(digest=digest, index=index) for index, digest in enumerate(digests)]
    question = TextPart(text="Which image shows a red circle?")
    ask = make_ask(turns=(Turn(role="user", parts=(*parts, question)),), explain=True)
    damaged = mailbox.put_picture(pictures[0][:150])
    bad_parts = (ImagePart(digest=damaged, index=0), question)
    bad = make_ask(turns=(Turn(role="user", parts=bad_parts),))
    for one in (ask, bad):
        ledger.submit(one)
        queue.send(one.ask_id)
    worker = start_worker(module="worker")
    wait_for(lambda: has_ended(ledger, ask, bad), 60)
    done = ending(store, ask)
    assert isinstance(done, Done)
    assert done.answer
    assert done.model == "pocket"
    assert 0 < done.usage.kept_tokens < done.usage.image_tokens
    failed = ending(store, bad)
    assert isinstance(failed, Failed)
    assert (failed.code, failed.image_index) == ("bad_image", 0)
    worker.send(signal.SIGTERM)
    assert worker.wait() == 0
