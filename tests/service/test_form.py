"""Forms are taken in while they come: hashed, kept one by one, and never all in memory."""

import base64
import hashlib
import json
import threading
import time
import tracemalloc
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import given, settings, strategies

from service.crowd import HOLDS_SECONDS
from service.form import FormLimits, FormReader, Part
from service.problems import Problem
from tests.redis_server import RedisServer
from tests.service.conftest import settings_for
from tests.service.gateway import listening
from tests.service.pictures import encode, noise, plain
from tests.service.responder import Responder, responding
from tests.service.test_ask import BLUE, RED
from tests.service.waiting import eventually

KIND = "multipart/form-data; boundary=b"
LIMITS = FormLimits(files=6, kept_files=4, file_bytes=10_000, text_bytes=1000)


def reader(limits: FormLimits = LIMITS) -> FormReader:
    return FormReader(KIND, limits, lambda name, is_file: None)


def head(name: str, filename: str | None = None) -> bytes:
    told = f'; filename="{filename}"' if filename else ""
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{told}\r\n\r\n'.encode()


def form(*parts: tuple[str, bytes | str]) -> bytes:
    """A body: bytes are files, texts are texts."""
    written = [
        head(name, "f" if isinstance(data, bytes) else None)
        + (data if isinstance(data, bytes) else data.encode())
        + b"\r\n"
        for name, data in parts
    ]
    return b"".join(written) + b"--b--\r\n"


@given(
    strategies.lists(strategies.binary(max_size=300), min_size=1, max_size=4),
    strategies.lists(strategies.integers(1, 120), min_size=1),
    strategies.text(max_size=50),
)
@settings(deadline=None)
def test_parts_and_hashes_do_not_depend_on_how_a_body_arrives(
    files: list[bytes], steps: list[int], question: str
) -> None:
    body = form(*(("images", data) for data in files), ("question", question))
    reading, found, at, turn = reader(), list[Part](), 0, 0
    while at < len(body):
        step = steps[turn % len(steps)]
        found += reading.feed(body[at : at + step])
        at, turn = at + step, turn + 1
    reading.finish()
    assert [part.data for part in found[:-1]] == files
    digests = [hashlib.sha256(data).hexdigest() for data in files]
    assert [part.hashing.hexdigest() for part in found[:-1]] == digests
    assert (found[-1].name, found[-1].text) == ("question", question)


def test_what_is_over_a_limit_is_counted_and_not_kept() -> None:
    sent = [("images", b"x" * 10_001), *[("images", b"y" * 10)] * 5]
    found = reader().feed(form(*sent))
    assert [part.size for part in found] == [10_001, 10, 10, 10, 10, 10]
    assert [len(part.data) for part in found] == [0, 10, 10, 10, 0, 0]


@pytest.mark.parametrize(
    "body",
    [
        form(*[("images", b"x")] * 7),
        form(*[("a", "x")] * 17),
        form(("a", "x" * 1001)),
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        b"--b\r\n" + b"X: y\r\n" * 20 + b"\r\nx\r\n--b--\r\n",
        b"--b\r\nX: " + b"y" * 10_000,
        b"nothing",
        b"",
    ],
)
def test_floods_and_broken_bodies_are_refused(body: bytes) -> None:
    reading = reader()

    def whole() -> None:
        reading.feed(body)
        reading.finish()

    with pytest.raises(Problem):
        whole()


@pytest.mark.parametrize(
    "kind", ["multipart/form-data", f"multipart/form-data; boundary={'b' * 300}"]
)
def test_a_boundary_is_needed(kind: str) -> None:
    with pytest.raises(Problem):
        FormReader(kind, LIMITS, lambda name, is_file: None)


def test_one_file_at_a_time_is_in_memory() -> None:
    limits = FormLimits(files=40, kept_files=40, file_bytes=2**21, text_bytes=1000)
    data = bytes(2**20)
    reading, sizes = reader(limits), []
    tracemalloc.start()
    for _ in range(20):
        body = head("images", "f") + data + b"\r\n"
        for at in range(0, len(body), 65_536):
            sizes += [part.size for part in reading.feed(body[at : at + 65_536])]
    reading.feed(b"--b--\r\n")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == [2**20] * 19
    assert peak < 5 * 2**20  # two bodies of this test, a part, and a chunk


class Slowly:
    """A body of which the test lets pieces go one by one."""

    def __init__(self, *pieces: bytes) -> None:
        self.gates = [threading.Event() for _ in pieces]
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for gate, piece in zip(self.gates, self.pieces, strict=True):
            gate.wait(10)
            yield piece


def test_pictures_are_stored_while_the_rest_still_comes(
    http: httpx.Client, responder: Responder, base_url: str
) -> None:
    red, blue = (hashlib.sha256(data).hexdigest() for data in (RED, BLUE))
    body = Slowly(
        head("images", "a") + RED + b"\r\n" + head("images", "b"),
        BLUE + b"\r\n" + head("question") + b"Which?\r\n--b--\r\n",
    )
    replies = []
    asking = threading.Thread(
        target=lambda: replies.append(
            httpx.post(f"{base_url}/v1/ask", content=body, headers={"content-type": KIND})
        )
    )
    asking.start()
    body.gates[0].set()
    assert eventually(lambda: responder.mailbox.picture(red) == RED)
    assert responder.mailbox.picture(blue) is None
    body.gates[1].set()
    asking.join()
    assert replies[0].json()["answer"] == "2 Which?"
    assert responder.mailbox.picture(blue) == BLUE


def test_pictures_of_a_refused_form_expire(http: httpx.Client, responder: Responder) -> None:
    reply = http.post("/v1/ask", content=form(("images", RED)), headers={"content-type": KIND})
    assert (reply.status_code, reply.json()["field"]) == (422, "/question")
    kept = list(responder.store.text.scan_iter("myopia:*"))
    left = [responder.store.text.ttl(name) for name in kept if ":picture:" in name]
    assert left
    assert all(0 < seconds <= 3600 for seconds in left)
    assert responder.ledger.counters().accepted == 0


def test_a_form_is_refused_before_its_bad_picture(http: httpx.Client) -> None:
    files = [("images", ("a", b"no picture")), ("images", ("b", RED))]
    assert http.post("/v1/ask", files=files).json()["field"] == "/question"
    reply = http.post("/v1/ask", files=files, data={"question": "?"})
    assert (reply.json()["code"], reply.json()["image_index"]) == ("bad_image", 0)


def test_pixels_are_counted_over_all_pictures_of_a_form(redis_server: RedisServer) -> None:
    data = encode(noise(100, 100))
    files = [("images", (f"{n}.png", data)) for n in range(3)]
    with listening(settings_for(redis_server, max_ask_pixels=25_000)) as url:
        reply = httpx.post(f"{url}/v1/ask", files=files, data={"question": "?"})
    told = reply.json()
    assert (told["image_index"], told["limit"], told["actual"]) == (2, 25_000, 30_000)


def test_a_form_that_is_estimated_leaves_nothing(http: httpx.Client, responder: Responder) -> None:
    files = [("images", ("a", encode(noise(20, 30))))]
    reply = http.post("/v1/estimate", files=files, data={"question": "?"})
    assert reply.status_code == 200, reply.text
    assert list(responder.store.text.scan_iter("myopia:picture:*")) == []


def test_a_crowd_is_refused_before_its_pictures_are_dealt_with(redis_server: RedisServer) -> None:
    """While there is no room, an ask is turned away by its params; then one gets in again."""
    redis_server.wipe()
    settings = settings_for(redis_server, max_queued_asks=1)
    with listening(settings) as url, httpx.Client(base_url=url, timeout=20) as http:
        first = http.post("/v1/ask", json={**ask(0), "timeout_seconds": 30},
                          headers={"prefer": "respond-async"})  # fmt: skip
        assert first.status_code == 202
        told = [http.post("/v1/ask", json=ask(1)), http.post("/v1/ask", json=ask(2))]
        told.append(http.post("/v1/ask", **parted(3)))
        assert [reply.status_code for reply in told] == [429] * 3
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in told)
        time.sleep(HOLDS_SECONDS)  # now one goes to look, and no further
        assert http.post("/v1/ask", json=ask(4)).status_code == 429
        with redis_server.client as client:
            stored = {name[-64:] for name in client.scan_iter("myopia:picture:*")}
        digests = [hashlib.sha256(picture(n)).hexdigest() for n in range(5)]
        assert [digest in stored for digest in digests] == [True, True, False, False, False]
        with responding(settings):
            assert eventually(lambda: http.post("/v1/ask", json=ask(5)).status_code == 200)


def picture(number: int) -> bytes:
    return plain(size=(20 + number, 20))


def ask(number: int) -> dict[str, object]:
    data = base64.b64encode(picture(number)).decode()
    return {"question": f"{number}?", "images": [{"data": data}]}


def parted(number: int) -> dict[str, object]:
    params = json.dumps({"cache": "off"})
    return {
        "data": {"question": f"{number}?", "params": params},
        "files": [("images", ("a.png", picture(number)))],
    }
