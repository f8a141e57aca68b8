import base64
import hashlib
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.service.pictures import animated, encode, noise, plain, turned
from tests.service.responder import Responder, Step, done
from wire.messages import Ask, Timings
from wire.pruning import Generation, Pruning

RED, BLUE = plain("red"), plain("blue")


def item(data: bytes) -> dict[str, str]:
    return {"data": base64.b64encode(data).decode()}


def body(*files: bytes, question: str = "Which?", **fields: object) -> dict[str, object]:
    return {"question": question, "images": [item(data) for data in files or (RED,)], **fields}


def test_json_is_answered_in_the_shape_of_the_contract(
    http: httpx.Client, responder: Responder
) -> None:
    reply = http.post("/v1/ask", json=body(RED, BLUE))
    assert reply.status_code == 200
    answer = reply.json()
    assert answer["answer"] == "2 Which?"
    assert answer["id"].startswith("ask_")
    assert answer["model"] == "pocket"
    assert answer["finish_reason"] == "stop"
    assert set(answer) == {
        "id", "model", "answer", "finish_reason", "usage", "cache", "timings", "explain",
        "warnings", "budget_choice",
    }  # fmt: skip
    assert answer["usage"]["kept_tokens"] == 6
    assert answer["cache"]["result"] == "miss"


def test_form_is_answered_as_json_is(http: httpx.Client, responder: Responder) -> None:
    files = [("images", ("a.png", RED, "image/png")), ("images", ("b.png", BLUE))]
    params = {"pruning": {"budget": 0.5, "policy": "h2o"}, "options": ["1", "2"]}
    reply = http.post(
        "/v1/ask", files=files, data={"question": "Which?", "params": json.dumps(params)}
    )
    assert reply.status_code == 200, reply.text
    assert reply.json()["answer"] == "2 Which?"
    ask = responder.asks[0]
    assert ask.pruning == Pruning(budget=0.5, policy="h2o")
    assert ask.options == ("1", "2")


def test_everything_chosen_reaches_the_worker_in_order(
    http: httpx.Client, responder: Responder
) -> None:
    sent = body(RED, BLUE, question="End?")
    sent["images"].insert(1, {"text": "between <image> and </s>"})  # type: ignore[attr-defined]
    pruning = {"policy": "snapkv", "budget": 0.3, "gamma": 1.2, "alpha": 0.25, "bin_tokens": 3}
    generation = {"max_tokens": 7, "temperature": 0.5, "top_p": 0.9, "seed": 3, "stop": ["."]}
    sent |= {"pruning": pruning, "generation": generation, "tiles": "base", "explain": True}
    assert http.post("/v1/ask", json=sent).status_code == 200
    (ask,) = responder.asks
    shown = [p.digest if p.kind == "image" else p.text for p in ask.turns[0].parts]
    red, blue = (hashlib.sha256(data).hexdigest() for data in (RED, BLUE))
    assert shown == [red, "between <image> and </s>", blue, "End?"]
    assert [p.index for p in ask.turns[0].parts if p.kind == "image"] == [0, 1]
    assert ask.pruning == Pruning.model_validate(pruning)
    assert ask.generation == Generation.model_validate(generation)
    assert (ask.tiles, ask.explain) == ("base", True)


def test_pictures_reach_the_worker_as_they_were_sent(
    http: httpx.Client, responder: Responder
) -> None:
    odd = [animated("GIF"), turned(6), encode(noise(mode="CMYK"), "JPEG"), encode(noise(mode="P"))]
    assert http.post("/v1/ask", json=body(*odd)).status_code == 200
    digests = [p.digest for p in responder.asks[0].turns[0].parts if p.kind == "image"]
    assert [responder.mailbox.picture(digest) for digest in digests] == odd


def test_data_uri_is_the_same_picture(http: httpx.Client, responder: Responder) -> None:
    uri = "data:image/png;base64," + base64.b64encode(RED).decode()
    sent = {"question": "Which?", "images": [{"data": uri}]}
    assert http.post("/v1/ask", json=sent).status_code == 200
    assert responder.asks[0].turns[0].parts[0].digest == hashlib.sha256(RED).hexdigest()


def test_picture_sent_before_is_named_by_its_hash(http: httpx.Client, responder: Responder) -> None:
    http.post("/v1/ask", json=body(RED))
    named = {"question": "Again?", "images": [{"id": "sha256:" + hashlib.sha256(RED).hexdigest()}]}
    assert http.post("/v1/ask", json=named).json()["answer"] == "1 Again?"


def test_unknown_picture_id_is_refused_by_index(http: httpx.Client, responder: Responder) -> None:
    sent = {"question": "?", "images": [item(RED), {"id": "sha256:" + "0" * 64}]}
    reply = http.post("/v1/ask", json=sent)
    assert reply.status_code == 422
    assert (reply.json()["code"], reply.json()["image_index"]) == ("bad_image", 1)


@pytest.mark.parametrize("header", [{}, {"traceparent": "garbage"}])
def test_odd_traces_are_dropped(
    http: httpx.Client, responder: Responder, header: dict[str, str]
) -> None:
    assert http.post("/v1/ask", json=body(), headers=header).status_code == 200
    assert responder.asks[0].traceparent is None


def test_trace_travels(http: httpx.Client, responder: Responder) -> None:
    trace = f"00-{'a' * 32}-{'b' * 16}-01"
    http.post("/v1/ask", json=body(), headers={"traceparent": trace})
    assert responder.asks[0].traceparent == trace


def test_document_names_every_field_of_the_wire(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    shown = document["components"]["schemas"]["Pruning"]["properties"]
    assert set(shown) == set(Pruning.model_fields)
    for name, field in Pruning.model_fields.items():
        assert shown[name]["description"] == field.description
    content = document["paths"]["/v1/ask"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}


def test_documents_example_is_a_sound_ask(http: httpx.Client, responder: Responder) -> None:
    document = http.get("/openapi.json").json()
    content = document["paths"]["/v1/ask"]["post"]["requestBody"]["content"]
    reply = http.post("/v1/ask", json=content["application/json"]["example"])
    assert reply.status_code == 200, reply.text


def test_docs_are_served(http: httpx.Client) -> None:
    assert "swagger" in http.get("/docs").text.lower()


def durations(reply: httpx.Response) -> dict[str, float]:
    """The numbers of `Server-Timing`, by name."""
    parts = [part.split(";") for part in reply.headers["server-timing"].split(", ")]
    return {name: float(dur.removeprefix("dur=")) for name, dur, *_ in parts}


def test_server_timing_repeats_the_body_and_adds_the_stay(
    http: httpx.Client, responder: Responder
) -> None:
    timings = Timings(
        queue_ms=1.25, vision_ms=2, prefill_ms=3, first_token_ms=7.5, decode_ms=4, total_ms=11.5
    )

    def slow(ask: Ask) -> Iterator[Step]:
        yield 0.2
        yield done("x", timings=timings)

    responder.script = slow
    for result, least_ms in (("miss", 200), ("hit", 0)):
        reply = http.post("/v1/ask", json=body())
        assert reply.json()["cache"]["result"] == result
        told = durations(reply)
        assert told.pop("gateway") > least_ms
        assert told == {
            name.removesuffix("_ms"): ms for name, ms in reply.json()["timings"].items()
        }
    assert reply.json()["timings"] == Timings().model_dump()
