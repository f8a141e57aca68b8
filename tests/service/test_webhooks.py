"""Webhooks: signed as the standard's own library checks, retried, and never sent inside."""

import base64
import http.server
import json
import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import httpx
import pytest
import standardwebhooks

from service.settings import Settings
from service.webhooks import sign
from tests.redis_server import RedisServer
from tests.service.conftest import settings_for
from tests.service.gateway import listening
from tests.service.responder import Responder, responding
from tests.service.test_ask import body
from tests.service.waiting import eventually
from wire.messages import Failed

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
ASYNC = {"prefer": "respond-async"}


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what is sent; answers with the statuses that a test lined up, then 200."""

    got: ClassVar[list[tuple[dict[str, str], str]]] = []
    statuses: ClassVar[list[int]] = []

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.got.append((headers, text))
        status = self.statuses.pop(0) if self.statuses else 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "http://169.254.169.254/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture(scope="module")
def receiver() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}/told"
    server.shutdown()


@pytest.fixture(scope="module")
def telling_settings(redis_server: RedisServer) -> Settings:
    return settings_for(
        redis_server,
        webhook_secret=SECRET,
        webhook_hosts=("localhost",),
        webhook_plain_http=True,
        webhook_private_networks=True,
    )


@pytest.fixture(scope="module")
def telling_client(telling_settings: Settings) -> Iterator[httpx.Client]:
    with (
        listening(telling_settings) as url,
        httpx.Client(base_url=url, timeout=10) as client,
    ):
        yield client


@pytest.fixture
def clean(redis_server: RedisServer) -> None:
    redis_server.wipe()
    Receiver.got.clear()
    Receiver.statuses.clear()


@pytest.fixture
def telling(telling_client: httpx.Client, clean: None) -> httpx.Client:
    return telling_client


@pytest.fixture
def worker(telling: httpx.Client, telling_settings: Settings) -> Iterator[Responder]:
    with responding(telling_settings) as running:
        yield running


def told() -> dict[str, object]:
    """The one message that came, verified by the standard's own library."""
    assert eventually(lambda: len(Receiver.got) == 1, 5)
    headers, text = Receiver.got[0]
    message: dict[str, object] = standardwebhooks.Webhook(SECRET).verify(text, headers)
    return message


def test_ending_is_told_and_signed(telling: httpx.Client, worker: Responder, receiver: str) -> None:
    ask_id = telling.post("/v1/ask", json=body(webhook_url=receiver), headers=ASYNC).json()["id"]
    message = told()
    assert message["type"] == "ask.done"
    assert message["data"]["id"] == ask_id
    assert message["data"]["answer"] == "1 Which?"


def test_failure_is_told_as_its_problem(
    telling: httpx.Client, worker: Responder, receiver: str
) -> None:
    worker.script = lambda ask: iter([Failed(code="out_of_memory", detail="Send less.")])
    telling.post("/v1/ask", json=body(webhook_url=receiver), headers=ASYNC)
    message = told()
    assert message["type"] == "ask.failed"
    assert message["data"]["code"] == "out_of_memory"


def test_stored_answer_is_told_too(telling: httpx.Client, worker: Responder, receiver: str) -> None:
    telling.post("/v1/ask", json=body())
    assert (
        telling.post("/v1/ask", json=body(webhook_url=receiver), headers=ASYNC).status_code == 200
    )
    assert told()["data"]["answer"] == "1 Which?"


@pytest.mark.parametrize("status", [500, 302, 429])
def test_refused_message_is_sent_again_under_its_name(
    telling: httpx.Client, worker: Responder, receiver: str, status: int
) -> None:
    Receiver.statuses[:] = [status]
    telling.post("/v1/ask", json=body(webhook_url=receiver), headers=ASYNC)
    assert eventually(lambda: len(Receiver.got) == 2, 6)
    names = {headers["webhook-id"] for headers, _ in Receiver.got}
    assert len(names) == 1
    time.sleep(0.8)
    assert len(Receiver.got) == 2


def test_gone_receiver_is_left_alone(
    telling: httpx.Client, worker: Responder, receiver: str
) -> None:
    Receiver.statuses[:] = [410]
    telling.post("/v1/ask", json=body(webhook_url=receiver), headers=ASYNC)
    assert eventually(lambda: len(Receiver.got) == 1, 5)
    time.sleep(1.3)
    assert len(Receiver.got) == 1


def test_another_gateway_tells_when_the_first_is_gone(
    telling: httpx.Client, telling_settings: Settings, receiver: str
) -> None:
    with listening(telling_settings) as url:
        httpx.post(f"{url}/v1/ask", json=body(webhook_url=receiver), headers=ASYNC)
    with responding(telling_settings):
        assert told()["type"] == "ask.done"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest/",
        "ftp://localhost/",
        "http://user:pw@localhost/",
        "nonsense",
    ],
)
def test_addresses_off_the_list_are_refused_at_the_door(telling: httpx.Client, url: str) -> None:
    reply = telling.post("/v1/ask", json=body(webhook_url=url), headers=ASYNC)
    assert (reply.status_code, reply.json()["field"]) == (422, "/webhook_url")
    assert url not in reply.text


def test_webhooks_are_off_without_a_secret(http: httpx.Client) -> None:
    reply = http.post("/v1/ask", json=body(webhook_url="https://example.org/"), headers=ASYNC)
    assert (reply.status_code, reply.json()["field"]) == (422, "/webhook_url")


def test_signature_is_the_standards() -> None:
    body_text = json.dumps({"a": 1})
    expected = standardwebhooks.Webhook(SECRET).sign(
        "msg_1", __import__("datetime").datetime.fromtimestamp(1_700_000_000), body_text
    )
    assert sign(SECRET, "msg_1", 1_700_000_000, body_text) == expected


@pytest.mark.parametrize("secret", ["abc", "whsec_", "whsec_!!!!", "whsec_" + "A" * 8])
def test_weak_secrets_are_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="whsec_"):
        Settings(webhook_secret=secret)
