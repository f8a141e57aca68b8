"""Pictures stored once, and what an ask would cost: numbers held against the library's own."""

import hashlib
import random
from typing import Any

import httpx
import pytest

from myopia.layout import Span
from myopia.tiles import Tiling
from service.costs import Costs
from tests.service.pictures import animated, encode, hostile, noise, turned
from tests.service.responder import FACTS, Responder
from tests.service.test_ask import BLUE, RED, body, item
from wire.pruning import Pruning

REAL = {
    "tile": 336,
    "patch": 14,
    "pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
    "context": 32_768,
    "kv_bytes_per_token": 131_072,
}


def name_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("way", ["form", "raw", "octets"])
def test_picture_is_stored_under_its_hash(
    http: httpx.Client, responder: Responder, way: str
) -> None:
    data = encode(noise(200, 100))
    if way == "form":
        reply = http.post("/v1/images", files={"image": ("a.png", data)})
    else:
        kind = "image/png" if way == "raw" else "application/octet-stream"
        reply = http.post("/v1/images", content=data, headers={"content-type": kind})
    assert reply.status_code == 201, reply.text
    told = reply.json()
    assert told == {
        "id": name_of(data),
        "width": 200,
        "height": 100,
        "bytes": len(data),
        "tokens": 16 + 4 * 9,
    }
    assert reply.headers["location"] == f"/v1/images/{told['id']}"
    back = http.get(reply.headers["location"])
    assert (back.content, back.headers["content-type"]) == (data, "image/png")
    assert back.headers["x-content-type-options"] == "nosniff"
    head = http.head(reply.headers["location"])
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(data)))


def test_stored_picture_answers_an_ask(http: httpx.Client, responder: Responder) -> None:
    http.post("/v1/images", content=RED, headers={"content-type": "image/png"})
    sent = {"question": "Which?", "images": [{"id": name_of(RED)}, item(BLUE)]}
    assert http.post("/v1/ask", json=sent).json()["answer"] == "2 Which?"


def test_size_is_as_shown(http: httpx.Client) -> None:
    for data, size in ((turned(6), (40, 60)), (animated("GIF"), (60, 40))):
        told = http.post("/v1/images", files={"image": ("a", data)}).json()
        assert (told["width"], told["height"]) == size
        assert told["tokens"] is None


def test_forgotten_picture_cannot_be_named(http: httpx.Client, responder: Responder) -> None:
    place = "/v1/images/" + name_of(RED)
    http.post("/v1/images", content=RED, headers={"content-type": "image/png"})
    assert http.delete(place).status_code == 204
    assert [http.delete(place).status_code, http.get(place).status_code] == [404, 404]
    assert http.head(place).status_code == 404
    sent = {"question": "Which?", "images": [{"id": name_of(RED)}]}
    reply = http.post("/v1/ask", json=sent)
    assert (reply.status_code, reply.json()["field"]) == (422, "/images/0/id")


@pytest.mark.parametrize("name", list(hostile()))
def test_hostile_uploads_are_refused(http: httpx.Client, name: str) -> None:
    reply = http.post("/v1/images", files={"image": ("a.png", hostile()[name])})
    assert (reply.status_code, reply.json()["code"]) == (422, "bad_image")
    assert reply.json()["field"] == "/image"


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ([("picture", ("a", RED))], 422),
        ([("image", ("a", RED)), ("image", ("b", RED))], 422),
        ([("image", (None, "text"))], 422),
    ],
)
def test_odd_forms_are_refused(
    http: httpx.Client, files: list[tuple[str, Any]], status: int
) -> None:
    assert http.post("/v1/images", files=files).status_code == status


def test_odd_types_and_ids_are_refused(http: httpx.Client) -> None:
    reply = http.post("/v1/images", content=b"{}", headers={"content-type": "application/json"})
    assert reply.status_code == 415
    assert http.get("/v1/images/sha256:xyz").status_code == 422
    assert http.get("/v1/images/../../etc/passwd").status_code == 404


def tokens_of_library(facts: dict[str, object], width: int, height: int, tiles: str) -> int:
    pinpoints = tuple(tuple(point) for point in facts["pinpoints"])
    span: Span = Tiling(facts["tile"], facts["patch"], pinpoints).span(0, (height, width), tiles)
    return span.length


@pytest.mark.parametrize("facts", [FACTS, REAL])
def test_tokens_are_the_librarys(facts: dict[str, object]) -> None:
    costs = Costs.of(facts)
    chance = random.Random(1)
    for _ in range(500):
        width, height = chance.randint(8, 3000), chance.randint(8, 3000)
        for tiles, theirs in (("auto", "max"), ("max", "max"), ("base", "base")):
            expected = tokens_of_library(facts, width, height, theirs)
            assert costs.tokens(width, height, tiles) == expected, (width, height, tiles)


def test_square_picture_of_a_published_model_costs_what_its_paper_says() -> None:
    assert Costs.of(REAL).tokens(672, 672) == 576 + 48 * 49
    assert Costs.of(REAL).tokens(672, 672, "base") == 576


def test_bytes_follow_the_budget() -> None:
    costs = Costs.of(FACTS)
    whole = costs.kv_bytes(100, 20, Pruning(budget=1))
    assert whole == 120 * 6144
    assert costs.kv_bytes(100, 20, Pruning(budget=0.2)) == 40 * 6144
    assert costs.kv_bytes(100, 20, Pruning(policy="full", budget=0.2)) == whole
    assert costs.kv_bytes(100, 20, Pruning(budget=0.5, budget_scope="total")) == 60 * 6144
    assert costs.kv_bytes(100, 20, Pruning(budget=0.1, budget_scope="total")) == 20 * 6144


def test_estimate_says_what_an_ask_costs(http: httpx.Client, responder: Responder) -> None:
    sent = body(RED, encode(noise(200, 100)), pruning={"budget": 0.3})
    told = http.post("/v1/estimate", json=sent).json()
    assert [image["tokens"] for image in told["images"]] == [16 + 4 * 5, 16 + 4 * 9]
    assert told["image_tokens"] == 36 + 52
    assert set(told["kv_bytes"]) == {"1", "0.5", "0.3", "0.2", "0.1", "0.05"}
    assert told["kv_bytes"]["1"] > told["kv_bytes"]["0.3"] > told["kv_bytes"]["0.05"]
    assert (told["fits"], told["cached"], told["context_tokens"]) == (True, False, 4096)
    assert told["expected_wait_seconds"] == 0
    assert responder.asks == []
    http.post("/v1/ask", json=sent)
    assert http.post("/v1/estimate", json=sent).json()["cached"] is True
    sent["generation"] = {"max_tokens": 4096}
    assert http.post("/v1/estimate", json=sent).json()["fits"] is False


def test_estimate_needs_a_worker_that_knows(http: httpx.Client) -> None:
    reply = http.post("/v1/estimate", json=body())
    assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
