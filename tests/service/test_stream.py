"""Server-sent events: order, ids, resumption, pings, and failures after the start."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service.events import resumed_from
from tests.redis_server import RedisServer
from tests.service.conftest import settings_for
from tests.service.gateway import listening
from tests.service.responder import Responder, Step, done
from tests.service.test_ask import body
from tests.service.waiting import eventually
from wire.messages import Ask, Failed, Token

Event = tuple[str, str, Any]


def parse(lines: Iterator[str]) -> Iterator[Event]:
    """`(event, id, data)` of each event, as a browser reads them; comments are left out."""
    said: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            said[name] = value
        elif said:
            yield said["event"], said.get("id", ""), json.loads(said["data"])
            said = {}


def streamed(http: httpx.Client, sent: dict[str, object], **headers: str) -> list[Event]:
    with http.stream("POST", "/v1/ask", json=sent, headers=headers) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        return list(parse(reply.iter_lines()))


def test_events_come_in_order_and_end_once(http: httpx.Client, responder: Responder) -> None:
    events = streamed(http, body(stream=True))
    assert [kind for kind, _, _ in events] == ["token", "token", "done"]
    text = "".join(data["text"] for kind, _, data in events if kind == "token")
    assert text == events[-1][2]["answer"] == "1 Which?"
    assert len({name for _, name, _ in events}) == 3
    assert all(name for _, name, _ in events)


def test_last_event_is_the_answer_of_the_contract(http: httpx.Client, responder: Responder) -> None:
    last = streamed(http, body(stream=True, cache="off"))[-1][2]
    whole = http.post("/v1/ask", json=body(cache="off")).json()
    assert set(last) == set(whole)
    assert {**last, "id": ""} == {**whole, "id": ""}


def test_accept_header_streams_too(http: httpx.Client, responder: Responder) -> None:
    events = streamed(http, body(), accept="text/event-stream")
    assert events[-1][0] == "done"


def test_stored_answer_is_streamed_as_well(http: httpx.Client, responder: Responder) -> None:
    http.post("/v1/ask", json=body())
    events = streamed(http, body(stream=True))
    assert [kind for kind, _, _ in events] == ["token", "done"]
    assert events[-1][2]["cache"]["result"] == "hit"


def test_failure_ends_the_stream_with_its_problem(http: httpx.Client, responder: Responder) -> None:
    failed = Failed(code="prompt_too_long", detail="Send fewer pictures.", limit=10, actual=20)
    responder.script = lambda ask: iter([Token(text="a"), failed])
    events = streamed(http, body(stream=True))
    assert [kind for kind, _, _ in events] == ["token", "failed"]
    problem = events[-1][2]
    assert (problem["code"], problem["status"]) == ("prompt_too_long", 422)
    assert (problem["limit"], problem["actual"]) == (10, 20)


def test_refusals_before_the_start_keep_their_status(http: httpx.Client) -> None:
    reply = http.post("/v1/ask", json=body(stream=True, question=" "))
    assert reply.status_code == 422


@pytest.mark.parametrize("pause", [0.0, 2.2])
def test_broken_stream_goes_on_after_the_last_event(
    http: httpx.Client, responder: Responder, base_url: str, pause: float
) -> None:
    def slow(ask: Ask) -> Iterator[Step]:
        for word in "abcdef":
            yield Token(text=word)
            yield 0.01 if pause else 0.2
        yield done("abcdef")

    responder.script = slow
    sent = body(stream=True)
    seen = []
    with httpx.stream("POST", f"{base_url}/v1/ask", json=sent) as reply:
        for event in parse(reply.iter_lines()):
            seen.append(event)
            if len(seen) == 2:
                break
    time.sleep(pause)  # within the grace, and after the ask has ended
    rest = streamed(http, sent, **{"last-event-id": seen[-1][1]})
    assert "".join(data["text"] for kind, _, data in seen + rest if kind == "token") == "abcdef"
    assert rest[-1][0] == "done"
    assert len(responder.asks) == 1


def test_stream_that_is_taken_up_is_left_again(
    http: httpx.Client, responder: Responder, base_url: str
) -> None:
    def endless(ask: Ask) -> Iterator[Step]:
        yield Token(text="a")
        yield 20.0
        yield done("a")

    responder.script = endless
    headers: dict[str, str] = {}
    for _ in range(2):
        with httpx.stream(
            "POST", f"{base_url}/v1/ask", json=body(stream=True), headers=headers
        ) as reply:
            if not headers:
                _, name, _ = next(parse(reply.iter_lines()))
                headers = {"last-event-id": name}
            else:
                time.sleep(2.2)  # longer than the grace of the first leave
                assert responder.ledger.counters().running == 1
    assert eventually(lambda: responder.ledger.counters().cancelled == 1, 8)


def test_ids_of_progress_resume_at_the_event_before() -> None:
    assert resumed_from("ask_12345678/3-1.1795363200203") == ("ask_12345678", "3-1")


@pytest.mark.parametrize(
    "odd", ["1-1.x", "", "x", "ask_1/2", "9" * 50, "1-1; drop", "ask_12345678/1-1\n"]
)
def test_odd_event_ids_start_over(odd: str) -> None:
    assert resumed_from(odd) is None


def test_silence_is_broken_by_pings(redis_server: RedisServer, responder: Responder) -> None:
    def silent(ask: Ask) -> Iterator[Step]:
        yield 0.5
        yield done("x")

    responder.script = silent
    with (
        listening(settings_for(redis_server, ping_seconds=0.1)) as url,
        httpx.stream("POST", f"{url}/v1/ask", json=body(stream=True)) as reply,
    ):
        lines = list(reply.iter_lines())
    assert lines.count(": ping") >= 2
    assert [kind for kind, _, _ in parse(iter(lines))] == ["done"]
