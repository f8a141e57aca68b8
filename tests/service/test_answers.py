"""Stored answers and joined asks: what is the same ask, and what is not."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.settings import Settings
from tests.service.responder import Responder, Step, done, responding
from tests.service.test_ask import BLUE, RED, body
from tests.service.test_stream import parse
from wire.messages import Ask, Failed, Token


def result(reply: httpx.Response) -> str:
    assert reply.status_code == 200, reply.text
    cache: dict[str, str] = reply.json()["cache"]
    return cache["result"]


def test_same_ask_twice_is_a_hit_with_the_same_bytes(
    http: httpx.Client, responder: Responder
) -> None:
    first, second = (http.post("/v1/ask", json=body(RED, BLUE)) for _ in range(2))
    assert (result(first), result(second)) == ("miss", "hit")
    assert first.json()["answer"].encode() == second.json()["answer"].encode()
    assert first.json()["usage"] == second.json()["usage"]
    assert len(responder.asks) == 1
    assert int(second.headers["age"]) >= 0


@pytest.mark.parametrize(
    "changed",
    [
        body(BLUE, RED),
        body(RED, BLUE, question="Which one?"),
        body(RED, BLUE, pruning={"budget": 0.21}),
        body(RED, BLUE, generation={"max_tokens": 5}),
        body(RED, BLUE, options=["a"]),
        body(RED, BLUE, explain=True),
        body(RED, BLUE, tiles="base"),
    ],
)
def test_any_difference_is_another_ask(
    http: httpx.Client, responder: Responder, changed: dict[str, object]
) -> None:
    http.post("/v1/ask", json=body(RED, BLUE))
    assert result(http.post("/v1/ask", json=changed)) == "miss"


def test_deadline_and_streaming_do_not_make_another_ask(
    http: httpx.Client, responder: Responder
) -> None:
    http.post("/v1/ask", json=body())
    assert result(http.post("/v1/ask", json=body(timeout_seconds=9))) == "hit"


@pytest.mark.parametrize(
    ("generation", "expected"),
    [({"temperature": 0.7}, "off"), ({"temperature": 0.7, "seed": 1}, "hit")],
)
def test_sampled_answers_are_stored_only_when_seeded(
    http: httpx.Client, responder: Responder, generation: dict[str, float], expected: str
) -> None:
    http.post("/v1/ask", json=body(generation=generation))
    assert result(http.post("/v1/ask", json=body(generation=generation))) == expected


def test_refresh_asks_again_and_replaces(http: httpx.Client, responder: Responder) -> None:
    http.post("/v1/ask", json=body())
    responder.script = lambda ask: iter([done("new")])
    assert result(http.post("/v1/ask", json=body(cache="refresh"))) == "miss"
    again = http.post("/v1/ask", json=body())
    assert (result(again), again.json()["answer"]) == ("hit", "new")


def test_off_neither_reads_nor_writes(http: httpx.Client, responder: Responder) -> None:
    assert result(http.post("/v1/ask", json=body(cache="off"))) == "off"
    assert result(http.post("/v1/ask", json=body())) == "miss"
    assert result(http.post("/v1/ask", json=body(cache="off"))) == "off"
    assert len(responder.asks) == 3


def test_failures_are_not_stored(http: httpx.Client, responder: Responder) -> None:
    responder.script = lambda ask: iter([Failed(code="out_of_memory", detail="Send less.")])
    assert http.post("/v1/ask", json=body()).status_code == 503
    responder.script = lambda ask: iter([done("fine")])
    assert result(http.post("/v1/ask", json=body())) == "miss"


def test_identical_asks_in_flight_run_once(http: httpx.Client, responder: Responder) -> None:
    gate = threading.Event()

    def held(ask: Ask) -> Iterator[Step]:
        gate.wait(5)
        yield Token(text="2")
        yield done("2")

    responder.script = held
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(http.post, "/v1/ask", json=body()) for _ in range(20)]
        while http.get("/metrics").text.count('myopia_result_cache_total{result="joined"}') == 0:
            pass
        gate.set()
        results = [result(each.result()) for each in asked]
    assert len(responder.asks) == 1
    assert results.count("miss") == 1
    assert set(results) <= {"miss", "joined", "hit"}


def test_joiner_outlives_the_one_it_joined(http: httpx.Client, responder: Responder) -> None:
    def slow(ask: Ask) -> Iterator[Step]:
        yield Token(text="4")
        yield 1.0
        yield Token(text="2")
        yield done("42")

    responder.script = slow
    with ThreadPoolExecutor(2) as pool:
        short = pool.submit(http.post, "/v1/ask", json=body(timeout_seconds=0.5))
        while not responder.asks:
            pass
        long = http.post("/v1/ask", json=body(timeout_seconds=10))
        assert short.result().status_code == 504
    assert long.json()["answer"] == "42"


def test_joiner_asks_anew_when_the_other_asks_time_is_up(
    http: httpx.Client, settings: Settings
) -> None:
    # The registry must know a model for asks to have a key; then its worker goes away.
    with responding(settings) as gone, ThreadPoolExecutor(2) as pool:
        gone.stop_taking()
        short = pool.submit(http.post, "/v1/ask", json=body(timeout_seconds=0.7))
        time.sleep(0.3)
        long = pool.submit(http.post, "/v1/ask", json=body(timeout_seconds=10))
        assert short.result().status_code == 504
        with responding(settings) as came:
            assert long.result().json()["answer"] == "1 Which?"
            assert came.ledger.counters().expired == 1
            assert came.ledger.counters().accepted == 2


def test_a_hit_is_looked_up_followed_and_listed_like_any_ask(
    http: httpx.Client, responder: Responder
) -> None:
    missed, hit = (http.post("/v1/ask", json=body()).json() for _ in range(2))
    assert (hit["cache"]["result"], hit["answer"]) == ("hit", missed["answer"])
    assert hit["id"] != missed["id"]
    told = http.get(f"/v1/asks/{hit['id']}").json()
    assert (told["status"], told["answer"]) == ("done", hit)
    listed = [one["id"] for one in http.get("/v1/asks").json()["data"]]
    assert listed == [hit["id"], missed["id"]]
    gone = http.delete(f"/v1/asks/{hit['id']}")
    assert (gone.status_code, gone.json()["code"]) == (409, "conflict")
    totals = responder.ledger.counters()
    assert (totals.accepted, totals.done, totals.imbalance) == (2, 2, 0)
    assert len(responder.asks) == 1


def test_events_of_a_hit_are_the_same_whoever_follows(
    http: httpx.Client, responder: Responder
) -> None:
    http.post("/v1/ask", json=body())
    with http.stream("POST", "/v1/ask", json=body(stream=True)) as reply:
        streamed = list(parse(reply.iter_lines()))
    assert [kind for kind, _, _ in streamed] == ["token", "done"]
    path = f"/v1/asks/{streamed[-1][2]['id']}/events"
    with http.stream("GET", path) as reply:
        assert list(parse(reply.iter_lines())) == streamed
    last = {"last-event-id": streamed[0][1]}
    for method, where, sent in (("GET", path, None), ("POST", "/v1/ask", body(stream=True))):
        with http.stream(method, where, json=sent, headers=last) as reply:
            assert list(parse(reply.iter_lines())) == streamed[1:]
    with http.stream("GET", path, headers={"last-event-id": streamed[1][1]}) as reply:
        assert list(parse(reply.iter_lines())) == []
    again = http.post("/v1/ask", json=body())
    assert again.headers["age"] == "0", "a resumed hit was stored as if it were a new answer"


def test_a_hit_is_kept_as_long_as_any_ask_and_costs_little(
    http: httpx.Client, responder: Responder
) -> None:
    long = "word " * 2000
    responder.script = lambda ask: iter([Token(text=long), done(long)])
    redis = responder.store.text
    asks = [http.post("/v1/ask", json=body()).json()["id"] for _ in range(3)]
    kept = responder.settings.record_ttl_seconds
    for ask_id in asks:
        assert kept - 30 < redis.ttl(f"myopia:ask:{ask_id}") <= kept
    for name in redis.scan_iter("myopia:events:*"):
        assert kept - 30 < redis.ttl(name) <= kept
    assert len(list(redis.scan_iter("myopia:events:*"))) == 2, "each hit keeps its own copy"
    assert max(redis.memory_usage(f"myopia:ask:{ask_id}") or 0 for ask_id in asks[1:]) < 600


def test_a_hit_of_another_key_does_not_exist(http: httpx.Client, responder: Responder) -> None:
    http.post("/v1/ask", json=body())
    hit = http.post("/v1/ask", json=body()).json()
    responder.store.text.hset(f"myopia:ask:{hit['id']}", "tenant", "other")
    assert http.get(f"/v1/asks/{hit['id']}").status_code == 404
