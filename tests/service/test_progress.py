"""What is told of an ask that waits: its place in line, moving, wherever one looks."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from service import samples
from service.app import create_app
from service.schema import Answer, AskState, Progress
from service.settings import Settings
from tests.service.responder import Responder, Script, Step, done
from tests.service.test_ask import BLUE, RED, body
from tests.service.test_stream import Event, parse
from tests.service.waiting import eventually
from tests.wire.asks import make_ask
from wire.messages import Ask, Token

ASYNC = {"prefer": "respond-async"}


def asked(http: httpx.Client, question: str) -> dict[str, Any]:
    reply = http.post("/v1/ask", json=body(RED, question=question), headers=ASYNC)
    assert reply.status_code == 202
    state: dict[str, Any] = reply.json()
    return state


def place(http: httpx.Client, ask_id: str) -> tuple[str, int | None, float | None]:
    told = http.get(f"/v1/asks/{ask_id}").json()
    return told["status"], told["position"], told["expected_wait_seconds"]


def a_second_each(responder: Responder) -> None:
    """The mean that the ledger has learnt, and one slot to be waited for."""
    responder.capacity = 1
    responder.store.text.hset("myopia:count", "service_ms", "1000")


@pytest.fixture
def idle(http: httpx.Client, responder: Responder) -> Responder:
    """A worker with one slot that is alive and takes nothing up, and is known as such."""
    responder.stop_taking()
    a_second_each(responder)
    assert eventually(lambda: http.get("/readyz").json()["slots"] == 1)
    return responder


def test_place_in_202_and_look_up_under_fair_turns(http: httpx.Client, idle: Responder) -> None:
    states = [asked(http, f"{n}?") for n in range(3)]
    assert [(s["status"], s["position"], s["expected_wait_seconds"]) for s in states] == [
        ("queued", 1, 0),
        ("queued", 2, 1),
        ("queued", 3, 2),
    ]
    for _ in range(2):  # another key: it takes turns with ours, ours first for its name
        idle.ledger.submit(make_ask(), tenant="other")
    assert [place(http, s["id"])[1] for s in states] == [1, 3, 5]
    estimate = http.post("/v1/estimate", json=body(RED)).json()
    assert estimate["expected_wait_seconds"] == 5  # behind all three of ours and both of theirs
    http.delete(f"/v1/asks/{states[0]['id']}")
    assert [place(http, s["id"])[1:] for s in states[1:]] == [(1, 0), (3, 2)]
    assert place(http, states[0]["id"]) == ("cancelled", None, None)


def test_without_workers_there_is_a_place_and_no_wait(http: httpx.Client) -> None:
    state = asked(http, "a?")
    assert (state["position"], state["expected_wait_seconds"]) == (1, None)


def test_running_asks_have_no_place(http: httpx.Client, responder: Responder) -> None:
    def slow(ask: Ask) -> Iterator[Step]:
        yield 1.0
        yield done("x")

    responder.script = slow
    ask_id = asked(http, "a?")["id"]
    assert eventually(lambda: place(http, ask_id) == ("running", None, None))
    assert http.get(f"/v1/asks/{ask_id}", params={"wait": 5}).json()["position"] is None


def follow(base_url: str, path: str, heard: list[Event], **more: Any) -> threading.Thread:
    def collect() -> None:
        with httpx.stream(
            "POST" if "json" in more else "GET", base_url + path, timeout=20, **more
        ) as reply:
            for event in parse(reply.iter_lines()):
                heard.append(event)

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    return thread


def test_streams_tell_the_place_as_it_moves(
    http: httpx.Client, idle: Responder, base_url: str
) -> None:
    first = asked(http, "first?")
    mine: list[Event] = []
    asking = follow(base_url, "/v1/ask", mine, json=body(BLUE, stream=True))
    assert eventually(lambda: len(mine) == 1)
    kind, name, told = mine[0]
    assert (kind, told) == (
        "progress",
        {"status": "queued", "position": 2, "expected_wait_seconds": 1.0},
    )
    ask_id, _, event_id = name.partition("/")
    assert event_id.startswith("0-0.")
    others: list[Event] = []
    looking = follow(base_url, f"/v1/asks/{ask_id}/events", others)
    assert eventually(lambda: len(others) == 1)
    http.delete(f"/v1/asks/{first['id']}")
    assert eventually(lambda: len(mine) == len(others) == 2)
    assert mine[1][2] == {"status": "queued", "position": 1, "expected_wait_seconds": 0.0}
    idle.script = waits_then("ab")
    idle._idle.clear()
    asking.join(10)
    looking.join(10)
    assert [kind for kind, _, _ in mine] == [*["progress"] * 3, "token", "token", "done"]
    assert mine[2][2] == {"status": "running", "position": None, "expected_wait_seconds": None}
    assert [(kind, data) for kind, _, data in others] == [(kind, data) for kind, _, data in mine]
    assert len({name for _, name, _ in mine}) == len(mine), "an id was given twice"


def waits_then(text: str) -> Script:
    def script(ask: Ask) -> Iterator[Step]:
        yield 1.5
        for letter in text:
            yield Token(text=letter)
        yield done(text)

    return script


def test_a_stream_that_broke_in_line_is_taken_up(
    http: httpx.Client, idle: Responder, base_url: str
) -> None:
    sent = body(stream=True)
    with httpx.stream("POST", f"{base_url}/v1/ask", json=sent, timeout=20) as reply:
        kind, name, _ = next(parse(reply.iter_lines()))
    assert kind == "progress"
    idle._idle.clear()
    with http.stream("POST", "/v1/ask", json=sent, headers={"last-event-id": name}) as reply:
        events = list(parse(reply.iter_lines()))
    assert events[-1][0] == "done"
    assert events[-1][2]["id"] == name.partition("/")[0]
    assert len(idle.asks) == 1


def test_an_ask_that_is_taken_up_at_once_tells_no_progress(
    http: httpx.Client, responder: Responder
) -> None:
    responder.script = waits_then("ab")
    with http.stream("POST", "/v1/ask", json=body(stream=True)) as reply:
        assert [kind for kind, _, _ in parse(reply.iter_lines())] == ["token", "token", "done"]


def test_examples_of_openapi_are_what_the_schemas_say() -> None:
    document = TestClient(create_app(Settings())).get("/openapi.json").json()
    for state in samples.ASK_STATES.values():
        AskState.model_validate(state["value"])
    shown = document["paths"]["/v1/asks/{ask_id}"]["get"]["responses"]["200"]["content"]
    assert set(shown["application/json"]["examples"]) == set(samples.ASK_STATES)
    accepted = document["paths"]["/v1/ask"]["post"]["responses"]["202"]["content"]
    assert accepted["application/json"]["example"]["position"] == 3
    events = list(parse(iter(samples.STREAM.split("\n"))))
    assert [kind for kind, _, _ in events] == [*["progress"] * 3, "token", "done"]
    for _, _, data in events[:3]:
        Progress.model_validate(data)
    Answer.model_validate(json.loads(json.dumps(events[-1][2])))
    schema = document["components"]["schemas"]["AskState"]["properties"]["position"]
    assert "Keys take turns" in schema["description"]
