"""Endings and tokens in OpenAI's shapes: the whole answer, and the chunks of a stream.

Our own numbers ride along under `myopia`. Nothing here reads requests or follows asks.
"""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from service.dispatch import Events
from service.events import with_pings
from service.openai_errors import body_of
from service.problems import Problem, from_failed
from wire.errors import AskLost, StoreUnavailable
from wire.messages import Done, Failed, Token


def usage(done: Done) -> dict[str, Any]:
    """Tokens as OpenAI counts them."""
    said = done.usage
    return {
        "prompt_tokens": said.prompt_tokens,
        "completion_tokens": said.completion_tokens,
        "total_tokens": said.prompt_tokens + said.completion_tokens,
    }


def own(done: Done) -> dict[str, Any]:
    """What only this service has to say of an answer."""
    return done.model_dump(mode="json", include={"usage", "cache", "timings", "warnings"})


def finish_reason(done: Done) -> str:
    """OpenAI has no word for a cancelled answer."""
    return "length" if done.finish_reason == "length" else "stop"


def logprobs(done: Done) -> dict[str, Any] | None:
    """Log-probabilities of every token of the answer, None when they were not asked for."""
    if done.logprobs is None:
        return None

    def entry(token: str, logprob: float) -> dict[str, Any]:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

    content = [
        {**entry(each.token, each.logprob), "top_logprobs": [entry(*other) for other in each.top]}
        for each in done.logprobs
    ]
    return {"content": content, "refusal": None}


def completion(done: Done, ask_id: str, created: int) -> dict[str, Any]:
    """The whole answer."""
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": done.answer, "refusal": None},
        "finish_reason": finish_reason(done),
        "logprobs": logprobs(done),
    }
    return {
        "id": ask_id,
        "object": "chat.completion",
        "created": created,
        "model": done.model,
        "choices": [choice],
        "usage": usage(done),
        "myopia": own(done),
    }


class Chunks:
    """Writes one stream: the role first, then texts, the end, and the usage if wanted."""

    def __init__(self, ask_id: str, created: int, model: str, *, with_usage: bool) -> None:
        self._head = {
            "id": ask_id,
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        self._with_usage = with_usage

    def write(self, delta: dict[str, Any], reason: str | None = None, **more: object) -> bytes:
        """One chunk with one choice."""
        choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None, **more}
        return _data({**self._head, "choices": [choice]} | self._no_usage())

    def _no_usage(self) -> dict[str, None]:
        return {"usage": None} if self._with_usage else {}

    def end(self, done: Done) -> bytes:
        """The last chunks."""
        last = self.write({}, finish_reason(done), logprobs=logprobs(done))
        if self._with_usage:
            last += _data({**self._head, "choices": [], "usage": usage(done), "myopia": own(done)})
        return last + format_sse_event(data_str="[DONE]")

    async def frames(self, events: Events, ping_seconds: float) -> AsyncGenerator[bytes]:
        """The bytes of the whole stream."""
        ask_id = str(self._head["id"])
        yield self.write({"role": "assistant", "content": ""})
        try:
            async with aclosing(with_pings(events, ping_seconds)) as pinged:
                async for named in pinged:
                    yield KEEPALIVE_COMMENT if named is None else self._frame(named[1], ask_id)
        except (AskLost, StoreUnavailable):
            yield _data(body_of(Problem("unavailable", "The store went away; ask again.")))
        except Problem as problem:
            yield _data(body_of(problem))

    def _frame(self, event: Token | Done | Failed, ask_id: str) -> bytes:
        if isinstance(event, Token):
            return self.write({"content": event.text})
        if isinstance(event, Done):
            return self.end(event)
        return _data(body_of(from_failed(event, ask_id)))


def _data(body: dict[str, Any]) -> bytes:
    return format_sse_event(data_str=json.dumps(body, ensure_ascii=False))
