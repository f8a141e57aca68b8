"""Deadlines, hang-ups, full queues, and a store that is away: never a hang, never a 500."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from service.settings import Settings
from tests.redis_server import RedisServer
from tests.service.conftest import settings_for
from tests.service.gateway import listening
from tests.service.responder import Responder, Step, done, responding
from tests.service.test_ask import body
from tests.service.waiting import eventually
from wire.messages import Ask, Failed, Token


def slow(ask: Ask) -> Iterator[Step]:
    yield Token(text="a")
    yield 5.0
    yield done("a")


def test_no_worker_is_answered_at_the_deadline(http: httpx.Client) -> None:
    began = time.monotonic()
    reply = http.post("/v1/ask", json=body(timeout_seconds=0.6))
    took = time.monotonic() - began
    assert (reply.status_code, reply.json()["code"]) == (504, "expired")
    assert 0.5 < took < 1.5


def test_slow_worker_is_answered_at_the_deadline(http: httpx.Client, responder: Responder) -> None:
    responder.script = slow
    began = time.monotonic()
    reply = http.post("/v1/ask", json=body(timeout_seconds=0.5))
    assert (reply.status_code, reply.json()["code"]) == (504, "expired")
    assert time.monotonic() - began < 1.6


def test_worker_that_comes_late_still_answers(http: httpx.Client, settings: Settings) -> None:
    replies = []
    asking = threading.Thread(
        target=lambda: replies.append(http.post("/v1/ask", json=body(timeout_seconds=8)))
    )
    asking.start()
    time.sleep(0.3)
    with responding(settings):
        asking.join()
    assert replies[0].json()["answer"] == "1 Which?"


@pytest.mark.parametrize("stream", [False, True])
def test_hanging_up_cancels_the_ask(
    http: httpx.Client, responder: Responder, base_url: str, stream: bool
) -> None:
    responder.script = slow
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{base_url}/v1/ask", json=body(stream=stream), timeout=0.6).read()
    assert eventually(lambda: responder.ledger.counters().cancelled == 1)
    assert responder.ledger.counters().open == 0


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("prompt_too_long", 422),
        ("bad_image", 422),
        ("out_of_memory", 503),
        ("internal", 500),
        ("cancelled", 409),
        ("dead", 500),
    ],
)
def test_what_a_worker_fails_with_becomes_its_status(
    http: httpx.Client, responder: Responder, code: str, status: int
) -> None:
    failed = Failed(code=code, detail="Send less.", field="/images/0", image_index=0)
    responder.script = lambda ask: iter([failed])
    reply = http.post("/v1/ask", json=body())
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.json()["image_index"] == 0
    assert reply.json()["ask_id"].startswith("ask_")


@pytest.mark.parametrize("most", ["max_queued_asks", "max_inflight_asks"])
def test_one_ask_too_many_is_told_when_to_come_again(
    http: httpx.Client, redis_server: RedisServer, most: str
) -> None:
    with listening(settings_for(redis_server, **{most: 1})) as url:
        waiting = threading.Thread(
            target=httpx.post, args=(f"{url}/v1/ask",), kwargs={"json": body(timeout_seconds=2)}
        )
        waiting.start()
        time.sleep(0.5)
        reply = httpx.post(f"{url}/v1/ask", json=body(question="Other?"))
        waiting.join()
    assert (reply.status_code, reply.json()["code"]) == (429, "overloaded")
    assert int(reply.headers["retry-after"]) >= 1


def test_probes_tell_alive_from_ready(
    http: httpx.Client, responder: Responder, redis_server: RedisServer
) -> None:
    assert http.get("/livez").status_code == 200
    ready = http.get("/readyz")
    assert (ready.status_code, ready.json()["workers"]) == (200, 1)
    assert http.get("/health").status_code == 200
    responder.draining = True
    assert eventually(lambda: http.get("/readyz").status_code == 503)
    assert http.get("/livez").status_code == 200


def test_not_ready_without_a_worker(http: httpx.Client) -> None:
    reply = http.get("/readyz")
    assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
    assert "retry-after" in reply.headers


def test_metrics_count_what_happened(http: httpx.Client, responder: Responder) -> None:
    http.post("/v1/ask", json=body())
    text = http.get("/metrics").text
    for name in (
        "myopia_request_success_total",
        "myopia_e2e_request_latency_seconds_bucket",
        "myopia_kv_tokens_kept_total",
        "myopia_num_requests_waiting 0.0",
        "myopia_ledger_imbalance 0.0",
        "myopia_workers 1.0",
    ):
        assert name in text


def unavailable(reply: httpx.Response) -> None:
    assert (reply.status_code, reply.json()["code"]) == (503, "unavailable"), reply.text
    assert int(reply.headers["retry-after"]) >= 1


def quickest(call: Callable[[], httpx.Response]) -> float:
    """Seconds to a 503: the best of three, since other tests may share the machine."""
    took = []
    for _ in range(3):
        began = time.monotonic()
        unavailable(call())
        took.append(time.monotonic() - began)
    assert max(took) < 4
    return min(took)


def test_store_that_is_gone_is_said_within_a_second(own_redis: RedisServer) -> None:
    with listening(settings_for(own_redis)) as url, httpx.Client(base_url=url) as http:
        http.get("/readyz")
        own_redis.kill()
        for call in (
            lambda: http.post("/v1/ask", json=body()),
            lambda: http.post("/v1/ask", json=body(stream=True)),
            lambda: http.get("/readyz"),
        ):
            assert quickest(call) < 1
        assert http.get("/livez").status_code == 200
        assert "myopia_store_up 0.0" in http.get("/metrics").text
        own_redis.start()
        with responding(settings_for(own_redis)):
            assert http.post("/v1/ask", json=body()).status_code == 200


def test_store_that_hangs_is_said_within_a_second(own_redis: RedisServer) -> None:
    with listening(settings_for(own_redis)) as url, httpx.Client(base_url=url) as http:
        http.get("/readyz")
        assert own_redis.process is not None
        os.kill(own_redis.process.pid, signal.SIGSTOP)
        try:
            assert quickest(lambda: http.post("/v1/ask", json=body())) < 1
        finally:
            os.kill(own_redis.process.pid, signal.SIGCONT)


def test_gateway_that_starts_without_a_store_is_alive(own_redis: RedisServer) -> None:
    own_redis.kill()
    with listening(settings_for(own_redis)) as url:
        assert httpx.get(f"{url}/livez").status_code == 200
        unavailable(httpx.get(f"{url}/readyz"))


def test_store_that_restarts_does_not_break_who_waits(own_redis: RedisServer) -> None:
    settings = settings_for(own_redis)
    replies = []
    with listening(settings) as url:
        asking = threading.Thread(
            target=lambda: replies.append(
                httpx.post(f"{url}/v1/ask", json=body(timeout_seconds=10), timeout=15)
            )
        )
        asking.start()
        waits = "myopia_gateway_asks_inflight 1.0"  # the gateway has heard that it was let in
        assert eventually(lambda: waits in httpx.get(f"{url}/metrics").text)
        own_redis.restart(0.5)
        with responding(settings):
            asking.join()
    assert replies[0].status_code == 200, replies[0].text
