"""OpenAI's dialect, by the official client; what is not supported is refused by name."""

import base64
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.service.pictures import plain
from tests.service.responder import Responder, Step, done
from wire.messages import Ask, Failed, Token
from wire.pruning import Pruning

RED, BLUE = plain("red"), plain("blue")


def picture(data: bytes, **more: str) -> dict[str, Any]:
    uri = "data:image/png;base64," + base64.b64encode(data).decode()
    return {"type": "image_url", "image_url": {"url": uri, **more}}


def user(*content: object) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


ONE = [user(picture(RED), text("Which?"))]


@pytest.fixture
def official(base_url: str, http: httpx.Client, responder: Responder) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_several_pictures_are_answered(official: openai.OpenAI, responder: Responder) -> None:
    reply = official.chat.completions.create(
        model="pocket",
        messages=[user(picture(RED), text("between"), picture(BLUE), text("Which?"))],
        max_tokens=9,
        seed=3,
        stop="x",
        temperature=0.5,
        extra_body={"pruning": {"budget": 0.4, "policy": "h2o"}, "options": ["1", "2 Which?"]},
    )
    assert reply.choices[0].message.content == "2 Which?"
    assert reply.choices[0].finish_reason == "stop"
    assert (reply.usage.prompt_tokens, reply.usage.total_tokens) == (50, 51)
    assert reply.id.startswith("ask_")
    assert reply.model_extra["myopia"]["usage"]["kept_tokens"] == 6
    (ask,) = responder.asks
    assert ask.pruning == Pruning(budget=0.4, policy="h2o")
    assert (ask.generation.max_tokens, ask.generation.seed) == (9, 3)
    assert ask.generation.stop == ("x",)
    assert ask.options == ("1", "2 Which?")
    assert [part.kind for part in ask.turns[0].parts] == ["image", "text", "image", "text"]


def test_conversation_keeps_its_turns(official: openai.OpenAI, responder: Responder) -> None:
    official.chat.completions.create(
        model="pocket",
        messages=[
            {"role": "developer", "content": "Be short."},
            user(picture(RED), text("What is this?")),
            {"role": "assistant", "content": "Red."},
            user(picture(BLUE), text("And this?")),
        ],
    )
    turns = responder.asks[0].turns
    assert [turn.role for turn in turns] == ["system", "user", "assistant", "user"]
    assert [part.index for turn in turns for part in turn.parts if part.kind == "image"] == [0, 1]


def test_stream_carries_text_and_usage(official: openai.OpenAI, responder: Responder) -> None:
    stream = official.chat.completions.create(
        model="pocket", messages=ONE, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    words = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(words) == "1 Which?"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.total_tokens == 51
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert len({chunk.id for chunk in chunks}) == 1


def test_stream_without_usage_ends_with_the_reason(official: openai.OpenAI) -> None:
    chunks = list(official.chat.completions.create(model="pocket", messages=ONE, stream=True))
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_logprobs_are_shown_when_asked_for(official: openai.OpenAI, responder: Responder) -> None:
    def script(ask: Ask) -> Iterator[Step]:
        assert ask.logprobs == 2
        top = (("2", -0.1), ("3", -2.0))
        yield Token(text="2")
        yield done("2", logprobs=({"token": "2", "logprob": -0.1, "top": top},))

    responder.script = script
    asked: dict[str, Any] = {
        "model": "pocket", "messages": ONE, "logprobs": True, "top_logprobs": 2
    }  # fmt: skip
    reply = official.chat.completions.create(**asked)
    (token,) = reply.choices[0].logprobs.content
    assert (token.token, token.logprob, len(token.top_logprobs)) == ("2", -0.1, 2)
    chunks = list(official.chat.completions.create(**asked, stream=True))
    assert chunks[-1].choices[0].logprobs.content[0].token == "2"


@pytest.mark.parametrize(("detail", "tiles"), [("low", "base"), ("high", "max"), ("auto", "auto")])
def test_detail_is_the_tiling(
    official: openai.OpenAI, responder: Responder, detail: str, tiles: str
) -> None:
    official.chat.completions.create(
        model="pocket", messages=[user(picture(RED, detail=detail), text("?"))]
    )
    assert responder.asks[0].tiles == tiles


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": []}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"1": 1}}, "logit_bias"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"temperature": 9}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra_body": {"pruning": {"budget": 7}}}, "pruning.budget"),
        ({"extra_body": {"made_up": 1}}, "made_up"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "no picture"}]}, "messages"),
        ({"messages": [*ONE, {"role": "assistant", "content": "x"}]}, "messages.1.role"),
        (
            {"messages": [user(picture(RED, detail="low"), picture(BLUE, detail="high"))]},
            "messages",
        ),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    official: openai.OpenAI, more: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        official.chat.completions.create(**{"model": "pocket", "messages": ONE, **more})
    assert (caught.value.param, caught.value.code) == (param, "bad_request")
    assert caught.value.type == "invalid_request_error"


def test_bad_picture_is_named_by_its_place(official: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        official.chat.completions.create(
            model="pocket", messages=[user(picture(RED), picture(b"no"), text("?"))]
        )
    assert caught.value.param == "messages.0.content.1.image_url.url"
    assert caught.value.code == "bad_image"


def test_address_is_refused_where_fetching_is_off(official: openai.OpenAI) -> None:
    link = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    with pytest.raises(openai.BadRequestError):
        official.chat.completions.create(model="pocket", messages=[user(link, text("?"))])


def test_models_are_those_that_run(official: openai.OpenAI) -> None:
    assert [model.id for model in official.models.list()] == ["pocket"]
    assert official.models.retrieve("pocket").owned_by == "myopia"
    with pytest.raises(openai.NotFoundError):
        official.models.retrieve("gpt-9")
    with pytest.raises(openai.NotFoundError):
        official.chat.completions.create(model="gpt-9", messages=ONE)


@pytest.mark.parametrize(
    ("code", "error", "theirs"),
    [
        ("prompt_too_long", openai.BadRequestError, "context_length_exceeded"),
        ("out_of_memory", openai.InternalServerError, "out_of_memory"),
        ("internal", openai.InternalServerError, "internal"),
    ],
)
def test_failures_are_the_clients_errors(
    official: openai.OpenAI, responder: Responder, code: Any, error: type[Exception], theirs: str
) -> None:
    responder.script = lambda ask: iter([Failed(code=code, detail="Send less.")])
    with pytest.raises(error) as caught:
        official.chat.completions.create(model="pocket", messages=ONE)
    assert caught.value.code == theirs
    with pytest.raises(openai.APIError) as caught:
        list(official.chat.completions.create(model="pocket", messages=ONE, stream=True))
    assert "Send less." in str(caught.value)


def test_same_conversation_is_a_hit(official: openai.OpenAI, responder: Responder) -> None:
    for expected in ("miss", "hit"):
        reply = official.chat.completions.create(model="pocket", messages=ONE)
        assert reply.model_extra["myopia"]["cache"]["result"] == expected
    assert len(responder.asks) == 1


def test_every_error_has_their_shape(http: httpx.Client) -> None:
    for reply in (
        http.get("/v1/chat/completions"),
        http.post("/v1/chat/completions", content=b"{}"),
        http.post("/v1/chat/completions", content=b"x" * 3_000_001),
        http.get("/v1/models/none"),
    ):
        assert set(reply.json()) == {"error"}
        assert reply.headers["content-type"] == "application/json"
