"""Asks that are not waited for: 202, look-up, long poll, events, cancel, list, repeats."""

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from service.prefer import Preference, preference
from tests.redis_server import RedisServer
from tests.service.responder import Responder, Script, Step, done
from tests.service.test_ask import BLUE, RED, body
from tests.service.test_stream import parse
from tests.service.waiting import eventually
from wire.messages import Ask, Failed, Token

ASYNC = {"prefer": "respond-async"}


def accepted(reply: httpx.Response) -> str:
    assert reply.status_code == 202, reply.text
    state = reply.json()
    assert reply.headers["location"] == f"/v1/asks/{state['id']}"
    assert reply.headers["preference-applied"] == "respond-async"
    return reply.headers["location"]


def slow(seconds: float) -> Script:
    def script(ask: Ask) -> Iterator[Step]:
        yield Token(text="4")
        yield seconds
        yield Token(text="2")
        yield done("42")

    return script


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, Preference()),
        ("respond-async", Preference(True)),
        ("wait=5", Preference(True, 5)),
        ('Respond-Async, wait="7"; x=y', Preference(True, 7)),
        ("handling=lenient", Preference()),
        ("wait=99999999999", Preference()),
        ("wait=9999", Preference(True, 600)),
    ],
)
def test_prefer_is_read(header: str | None, expected: Preference) -> None:
    assert preference(header) == expected


def test_asynchronous_ask_is_accepted_and_looked_up(
    http: httpx.Client, responder: Responder
) -> None:
    responder.script = slow(0.4)
    place = accepted(http.post("/v1/ask", json=body(), headers=ASYNC))
    early = http.get(place).json()
    assert early["status"] in ("queued", "running")
    assert (early["answer"], early["error"]) == (None, None)
    assert early["deadline"] > early["created_at"] > 1e9
    late = http.get(place, params={"wait": 5}).json()
    assert late["status"] == "done"
    assert late["answer"]["answer"] == "42"
    assert late["answer"]["id"] == late["id"]


def test_wait_gives_the_answer_when_it_comes_in_time(
    http: httpx.Client, responder: Responder
) -> None:
    reply = http.post("/v1/ask", json=body(), headers={"prefer": "wait=5"})
    assert (reply.status_code, reply.json()["answer"]) == (200, "1 Which?")
    responder.script = slow(3.0)
    began = time.monotonic()
    accepted(http.post("/v1/ask", json=body(BLUE), headers={"prefer": "respond-async, wait=1"}))
    assert 0.9 < time.monotonic() - began < 1.5


def test_asynchronous_answer_is_stored_like_any_other(
    http: httpx.Client, responder: Responder
) -> None:
    place = accepted(http.post("/v1/ask", json=body(), headers=ASYNC))
    http.get(place, params={"wait": 5})
    again = http.post("/v1/ask", json=body(), headers=ASYNC)
    assert (again.status_code, again.json()["cache"]["result"]) == (200, "hit")


def test_long_poll_ends_at_its_time(http: httpx.Client, responder: Responder) -> None:
    responder.script = slow(2.0)
    place = accepted(http.post("/v1/ask", json=body(), headers=ASYNC))
    began = time.monotonic()
    assert http.get(place, params={"wait": 0.3}).json()["status"] == "running"
    assert 0.25 < time.monotonic() - began < 0.8


def test_failure_is_told_as_a_problem(http: httpx.Client, responder: Responder) -> None:
    failed = Failed(code="prompt_too_long", detail="Send fewer pictures.", limit=1, actual=2)
    responder.script = lambda ask: iter([failed])
    place = accepted(http.post("/v1/ask", json=body(), headers=ASYNC))
    state = http.get(place, params={"wait": 5}).json()
    assert (state["status"], state["answer"]) == ("failed", None)
    assert state["error"]["code"] == "prompt_too_long"
    assert state["error"]["status"] == 422


def test_expired_ask_says_so(http: httpx.Client) -> None:
    place = accepted(http.post("/v1/ask", json=body(timeout_seconds=0.4), headers=ASYNC))
    state = http.get(place, params={"wait": 5}).json()
    assert (state["status"], state["error"]["code"]) == ("expired", "expired")


def test_events_are_replayed_from_anywhere(http: httpx.Client, responder: Responder) -> None:
    place = accepted(http.post("/v1/ask", json=body(), headers=ASYNC))
    whole = list(parse(http.get(f"{place}/events").iter_lines()))
    assert [kind for kind, _, _ in whole] == ["token", "token", "done"]
    again = list(parse(http.get(f"{place}/events").iter_lines()))
    assert again == whole
    for number, (_, name, _) in enumerate(whole):
        headers = {"last-event-id": name}
        reply = http.get(f"{place}/events", headers=headers)
        assert list(parse(reply.iter_lines())) == whole[number + 1 :]
        # After the last one a browser must not come back for ever.
        assert reply.status_code == (204 if number == len(whole) - 1 else 200)
        assert number < len(whole) - 1 or reply.content == b""


def test_watcher_that_leaves_does_not_cancel(http: httpx.Client, responder: Responder) -> None:
    responder.script = slow(0.6)
    place = accepted(http.post("/v1/ask", json=body(), headers=ASYNC))
    with http.stream("GET", f"{place}/events") as reply:
        next(reply.iter_lines())
    assert http.get(place, params={"wait": 5}).json()["status"] == "done"


def test_cancel_ends_a_waiting_ask(http: httpx.Client) -> None:
    place = accepted(http.post("/v1/ask", json=body(), headers=ASYNC))
    reply = http.delete(place)
    assert (reply.status_code, reply.json()["status"]) == (202, "cancelled")
    late = http.delete(place)
    assert (late.status_code, late.json()["code"]) == (409, "conflict")
    assert http.get(place).json()["error"]["code"] == "cancelled"


def test_cancel_reaches_a_running_ask(http: httpx.Client, responder: Responder) -> None:
    responder.script = slow(5.0)
    place = accepted(http.post("/v1/ask", json=body(), headers=ASYNC))
    assert eventually(lambda: http.get(place).json()["status"] == "running")
    assert http.delete(place).status_code == 202
    assert eventually(lambda: http.get(place).json()["status"] == "cancelled")


def test_waiting_asker_is_told_of_a_cancel(http: httpx.Client, responder: Responder) -> None:
    responder.script = slow(5.0)
    replies = []
    asking = threading.Thread(target=lambda: replies.append(http.post("/v1/ask", json=body())))
    asking.start()
    assert eventually(lambda: len(responder.asks) == 1)
    assert http.delete(f"/v1/asks/{responder.asks[0].ask_id}").status_code == 202
    asking.join()
    assert (replies[0].status_code, replies[0].json()["code"]) == (409, "cancelled")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_asks_are_not_found(http: httpx.Client, method: str) -> None:
    for name, status in (("ask_doesnotexist", 404), ("x", 422), ("ask_" + "a" * 99, 422)):
        reply = http.request(method, f"/v1/asks/{name}")
        assert (reply.status_code, reply.json()["status"]) == (status, status)
    assert http.get("/v1/asks/ask_doesnotexist/events").status_code == 404


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "x"])
def test_odd_waits_are_refused(http: httpx.Client, wait: str) -> None:
    place = accepted(http.post("/v1/ask", json=body(), headers=ASYNC))
    reply = http.get(place, params={"wait": wait})
    assert (reply.status_code, reply.json()["field"]) == (422, "/wait")


def test_list_pages_newest_first(http: httpx.Client) -> None:
    made = []
    for number in range(5):
        sent = body(question=f"{number}?", cache="off")
        made.append(http.post("/v1/ask", json=sent, headers=ASYNC).json()["id"])
    seen, cursor = [], None
    while True:
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = http.get("/v1/asks", params=params).json()
        seen += [each["id"] for each in page["data"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == made[::-1]
    assert http.get("/v1/asks", params={"status": "done"}).json()["data"] == []
    assert http.get("/v1/asks", params={"limit": 0}).status_code == 422


def test_same_idempotency_key_is_the_same_ask(http: httpx.Client, responder: Responder) -> None:
    headers = {"idempotency-key": "4f2a", **ASYNC}
    first = http.post("/v1/ask", json=body(cache="off"), headers=headers)
    http.get(accepted(first), params={"wait": 5})
    again = http.post("/v1/ask", json=body(cache="off"), headers=headers | {"prefer": "wait=5"})
    assert again.status_code == 200
    assert again.json()["id"] == first.json()["id"]
    assert len(responder.asks) == 1


def test_repeats_in_flight_follow_the_same_ask(http: httpx.Client, responder: Responder) -> None:
    responder.script = slow(0.5)
    replies: list[httpx.Response] = []

    def ask() -> None:
        sent = body(cache="off")
        replies.append(http.post("/v1/ask", json=sent, headers={"idempotency-key": "k"}))

    asking = [threading.Thread(target=ask) for _ in range(4)]
    for each in asking:
        each.start()
    for each in asking:
        each.join()
    assert {reply.json()["answer"] for reply in replies} == {"42"}
    assert len({reply.json()["id"] for reply in replies}) == 1
    assert len(responder.asks) == 1


@pytest.mark.parametrize("other", [body(BLUE), body(RED, question="?"), body(RED, cache="refresh")])
def test_same_key_with_another_body_is_refused(
    http: httpx.Client, responder: Responder, other: dict[str, object]
) -> None:
    headers = {"idempotency-key": "k"}
    assert http.post("/v1/ask", json=body(RED), headers=headers).status_code == 200
    reply = http.post("/v1/ask", json=other, headers=headers)
    assert (reply.status_code, reply.json()["field"]) == (422, "/Idempotency-Key")


def test_odd_idempotency_keys_are_refused(http: httpx.Client) -> None:
    for key in ("x" * 256, "a b"):
        reply = http.post("/v1/ask", json=body(), headers={"idempotency-key": key})
        assert reply.status_code == 422


@pytest.mark.parametrize(("control", "expected"), [("no-cache", "miss"), ("no-store", "off")])
def test_cache_control_is_obeyed(
    http: httpx.Client, responder: Responder, control: str, expected: str
) -> None:
    first = http.post("/v1/ask", json=body())
    reply = http.post("/v1/ask", json=body(), headers={"cache-control": control})
    assert reply.json()["cache"]["result"] == expected
    hit = http.post("/v1/ask", json=body())
    assert hit.headers["etag"] == first.headers["etag"]
    assert "age" in hit.headers


def test_wiped_store_is_told_and_never_hangs(
    http: httpx.Client, responder: Responder, redis_server: RedisServer
) -> None:
    responder.script = slow(3.0)
    replies = []
    asking = threading.Thread(target=lambda: replies.append(http.post("/v1/ask", json=body())))
    asking.start()
    assert eventually(lambda: len(responder.asks) == 1)
    redis_server.wipe()
    asking.join(4)
    assert (replies[0].status_code, replies[0].json()["code"]) == (503, "store_lost")
