"""POST /v1/ask: one question about N pictures in, one answer or its event stream out.

Reads, checks, builds the wire's message, and lets it in. How an ask is followed to its ending
is `service.dispatch`'s business, how a body looks `service.intake`'s.
"""

import asyncio
import re
import time
import uuid
from contextlib import aclosing
from typing import Any

import structlog
from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from service import dispatch, events, intake
from service.caller import TheCaller, TheDesk, may, paced
from service.desk import Desk
from service.dispatch import Entry, Events, Wanted
from service.images import Picture, Raw, check
from service.intake import Incoming, Named
from service.keys import Key
from service.openapi import ASK_DOCUMENT
from service.problems import Problem, from_failed
from service.refusals import HUNG_UP
from service.settings import Settings
from service.shelf import Note
from wire.messages import Ask, Done, Failed, ImagePart, TextPart, Timings, Turn

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

router = APIRouter(dependencies=[Depends(may("ask"))])
log = structlog.get_logger(__name__)


@router.post("/v1/ask", operation_id="ask", dependencies=[Depends(paced)], **ASK_DOCUMENT)
async def ask(request: Request, desk: TheDesk, key: TheCaller) -> Response:
    """Ask one question about one or more pictures."""
    came_at = time.perf_counter()
    with desk.holding(request.headers.get("content-length")):
        wanted, streams = await prepare(request, desk, key)
        entry = await dispatch.enter(desk, wanted)
    if not streams:
        return await answer_whole(request, desk, entry, came_at)
    following = dispatch.follow(desk, entry, resume_place(request, entry))
    return events.respond(following, entry.ask_id, desk.settings.ping_seconds, headers_of(entry))


async def prepare(request: Request, desk: Desk, key: Key) -> tuple[Wanted, bool]:
    """Everything before the ledger: read, check, build; and whether to stream."""
    settings = desk.settings
    incoming = await intake.read(request, settings)
    deadline = time.time() + timeout_seconds(incoming.params.timeout_seconds, settings)
    pictures = await checked(desk, [item for item in incoming.items if isinstance(item, Raw)])
    await known(desk, key.owner, [item for item in incoming.items if isinstance(item, Named)])
    message = build(incoming, pictures, deadline, request.headers.get("traceparent"))
    streams = incoming.params.stream or wants_events(request)
    wanted = Wanted(message, pictures, key.owner, incoming.params.cache, key.max_open_asks)
    return wanted, streams


async def checked(desk: Desk, raws: list[Raw]) -> list[Picture]:
    """Pictures that are sound; at most `decode_threads` asks are looked at at once."""
    try:
        return await to_thread.run_sync(check, raws, desk.settings, limiter=desk.decoding)
    except Problem as problem:
        desk.metrics.media_rejected.labels(problem.code).inc()
        raise


async def known(desk: Desk, tenant: str, named: list[Named]) -> dict[str, Note]:
    """Notes of pictures that the asker names by hash, having sent them before."""
    notes = await desk.shelf.find(tenant, [picture.digest for picture in named])
    for picture in named:
        if picture.digest not in notes:
            raise Problem(
                "bad_image",
                f"Picture {picture.index + 1}: no picture of this id is stored; send its bytes.",
                field=picture.field,
                image_index=picture.index,
            )
    return notes


def timeout_seconds(chosen: float | None, settings: Settings) -> float:
    """The ask's time, within what this deployment allows."""
    limit = settings.max_timeout_seconds
    if chosen is not None and chosen > limit:
        raise Problem(
            "bad_request",
            f"`timeout_seconds` may be at most {limit:g} here.",
            field="/timeout_seconds",
            limit=limit,
            actual=chosen,
        )
    return chosen or min(limit, settings.default_timeout_seconds)


def wants_events(request: Request) -> bool:
    """Whether the header `Accept` names the event stream."""
    accepted = request.headers.get("accept", "").lower()
    return any(part.split(";")[0].strip() == "text/event-stream" for part in accepted.split(","))


def build(
    incoming: Incoming, pictures: list[Picture], deadline: float, traceparent: str | None
) -> Ask:
    """The wire's message: parts in the order of the request, the question last."""
    fresh = iter(pictures)
    parts: list[ImagePart | TextPart] = []
    index = 0
    for item in incoming.items:
        if isinstance(item, str):
            parts.append(TextPart(text=item))
            continue
        digest = item.digest if isinstance(item, Named) else next(fresh).digest
        parts.append(ImagePart(digest=digest, index=index))
        index += 1
    params = incoming.params
    traced = traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else None
    return Ask(
        ask_id=f"ask_{uuid.uuid4().hex}",
        turns=(Turn(role="user", parts=(*parts, TextPart(text=incoming.question))),),
        options=params.options,
        pruning=params.pruning,
        generation=params.generation,
        tiles=params.tiles,
        explain=params.explain,
        deadline=deadline,
        traceparent=traced,
    )


def resume_place(request: Request, entry: Entry) -> str:
    """Where a stream goes on: after `Last-Event-ID` if it is of this very ask."""
    named = events.resumed_from(request.headers.get("last-event-id"))
    if named is None or named[0] != entry.ask_id:
        return "0-0"
    return named[1]


async def answer_whole(request: Request, desk: Desk, entry: Entry, came_at: float) -> Response:
    """Fold the events into one answer; an asker who hangs up cancels the ask."""
    folding = asyncio.create_task(fold(dispatch.follow(desk, entry)))
    leaving = asyncio.create_task(hang_up(request))
    try:
        await asyncio.wait({folding, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not folding.done():
            return Response(status_code=HUNG_UP)
        ending, ask_id = folding.result()
    finally:
        leaving.cancel()
        folding.cancel()
    if isinstance(ending, Failed):
        raise from_failed(ending, ask_id)
    answer = events.answer_of(ending, ask_id)
    total_ms = (time.perf_counter() - came_at) * 1000
    headers = {**headers_of(entry), "Server-Timing": server_timing(answer.timings, total_ms)}
    return JSONResponse(answer.model_dump(mode="json"), headers=headers)


async def fold(following: Events) -> tuple[Done | Failed, str]:
    """The one ending of a stream of events, and the ask it is of."""
    async with aclosing(following) as named_events:
        async for event_id, event in named_events:
            if event.kind != "token":
                return event, event_id.partition("/")[0]
    raise AssertionError("every accepted ask ends in exactly one Done or Failed")


async def hang_up(request: Request) -> None:
    """Return when the asker has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def server_timing(timings: Timings, total_ms: float) -> str:
    """The header `Server-Timing`: what the worker measured, and the whole stay here."""
    said: dict[str, Any] = timings.model_dump()
    named = [(name.removesuffix("_ms"), ms) for name, ms in said.items() if name != "total_ms"]
    return ", ".join(f"{name};dur={ms:.1f}" for name, ms in [*named, ("total", total_ms)])


def headers_of(entry: Entry) -> dict[str, str]:
    """Which ask this is, and how old a stored answer is."""
    headers = {"X-Ask-Id": entry.ask_id, "Cache-Control": "no-store"}
    if entry.stored is not None:
        headers["Age"] = str(int(entry.stored.age_seconds))
    return headers
