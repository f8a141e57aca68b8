"""Server-sent events: frames of an ask's events, news and pings in silence, ids that resume.

An id is `<ask id>/<place>`; whoever reconnects sends the last one back and misses nothing.
`progress` is no part of what is resumed: it has the place before it, and the moment behind that.
Framing is FastAPI's own. What the events mean is not known here.
"""

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from fastapi.sse import KEEPALIVE_COMMENT, EventSourceResponse, format_sse_event

from service.dispatch import Events
from service.problems import Problem, from_failed
from service.progress import Waiting
from service.schema import Progress, answer_of
from wire.errors import AskLost, StoreUnavailable
from wire.messages import Done, Failed, Token

EVENT_ID = re.compile(
    r"(?:(?P<ask_id>ask_[0-9A-Za-z_-]{8,64})/)?(?P<place>\d{1,20}-\d{1,20})(?:\.\d{1,20})?"
)


def resumed_from(last_event_id: str | None) -> tuple[str | None, str] | None:
    """The ask and the place that an earlier id names; None when it names none."""
    found = EVENT_ID.fullmatch(last_event_id or "")
    return (found["ask_id"], found["place"]) if found else None


def frame(event_id: str, event: Token | Done | Failed) -> bytes:
    """One event as bytes: `token`, `done` or `failed`."""
    ask_id = event_id.partition("/")[0]
    if isinstance(event, Token):
        data = event.model_dump_json(include={"text"})
    elif isinstance(event, Done):
        data = answer_of(event, ask_id).model_dump_json()
    else:
        data = from_failed(event, ask_id).text()
    return format_sse_event(data_str=data, event=event.kind, id=event_id)


def progress_frame(place: str, news: Progress) -> bytes:
    """News of an ask that waits, under an id of its own that resumes at `place`."""
    event_id = f"{place}.{time.time_ns() // 1_000_000}"
    return format_sse_event(data_str=news.model_dump_json(), event="progress", id=event_id)


def respond(
    events: Events, place: str, ping_seconds: float, waiting: Waiting, headers: dict[str, str]
) -> EventSourceResponse:
    """A response that sends what comes after `place`, an event's id; hanging up closes `events`."""
    said = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **headers}
    return EventSourceResponse(_frames(events, place, ping_seconds, waiting), headers=said)


async def _frames(
    events: Events, place: str, ping_seconds: float, waiting: Waiting
) -> AsyncGenerator[bytes]:
    ask_id = place.partition("/")[0]
    said_at = time.monotonic()

    def silence() -> float:
        return min(waiting.pause_seconds, said_at + ping_seconds - time.monotonic())

    try:
        async with aclosing(with_silences(events, silence)) as coming:
            async for named in coming:
                if named is not None:
                    place = named[0]
                    yield frame(*named)
                elif news := await waiting.news(place.partition("/")[0]):
                    yield progress_frame(place, news)
                elif time.monotonic() - said_at >= ping_seconds:
                    yield KEEPALIVE_COMMENT
                else:
                    continue
                said_at = time.monotonic()
    except AskLost:
        yield _broken(Problem("store_lost", "The store lost this ask; send it again."), ask_id)
    except StoreUnavailable:
        detail = "The store does not answer; reconnect to go on."
        yield _broken(Problem("unavailable", detail), ask_id)
    except Problem as problem:
        yield _broken(problem, ask_id)


def _broken(problem: Problem, ask_id: str) -> bytes:
    problem.ask_id = ask_id
    return format_sse_event(data_str=problem.text(), event="failed")


def with_pings(
    events: Events, ping_seconds: float
) -> AsyncGenerator[tuple[str, Token | Done | Failed] | None]:
    """The events, and None after each silence of `ping_seconds`; closes them in the end."""
    return with_silences(events, lambda: ping_seconds)


async def with_silences(
    events: Events, silence_seconds: Callable[[], float]
) -> AsyncGenerator[tuple[str, Token | Done | Failed] | None]:
    """The events, and None after each silence of as many seconds as is asked for then."""
    coming: asyncio.Task[tuple[str, Token | Done | Failed]] | None = None
    try:
        while True:
            coming = coming or asyncio.create_task(_next(events))
            ready, _ = await asyncio.wait({coming}, timeout=max(0.0, silence_seconds()))
            if not ready:
                yield None
                continue
            try:
                named = coming.result()
            except StopAsyncIteration:
                return
            finally:
                coming = None
            yield named
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})
        await events.aclose()


async def _next(events: Events) -> tuple[str, Token | Done | Failed]:
    return await anext(events)
