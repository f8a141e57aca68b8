"""POST /v1/ask: one question about N pictures in; one answer, its event stream, or a 202 out.

How an ask is followed to its ending is `service.dispatch`'s business, how it is read and built
`service.prepare`'s.
"""

import asyncio
import time
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from service import dispatch, events, explanation, idempotency
from service.asks import state_of
from service.caller import TheCaller, TheDesk, may
from service.desk import Desk
from service.dispatch import Entry, Events, Wanted
from service.openapi import ASK_DOCUMENT
from service.prefer import Preference, preference
from service.prepare import prepare
from service.problems import from_failed
from service.progress import Waiting
from service.refusals import HUNG_UP
from service.schema import answer_of
from wire.errors import AskLost, StoreUnavailable
from wire.mailbox import FROM_START
from wire.messages import Done, Failed, Timings
from wire.records import OPEN

router = APIRouter(tags=["asks"], dependencies=[Depends(may("ask", paced=True))])


@router.post("/v1/ask", operation_id="ask", **ASK_DOCUMENT)
async def ask(request: Request, desk: TheDesk, key: TheCaller) -> Response:
    """Ask one question about one or more pictures."""
    came_at = time.perf_counter()
    with desk.holding(request.headers.get("content-length")):
        wanted, streams = await prepare(request, desk, key)
        resumed = await resume(request, desk, wanted) if streams else None
        if resumed is None:
            entry = await enter(request, desk, wanted)
    if resumed is not None:
        return stream(desk, *resumed)
    if streams:
        return stream(desk, entry)
    wishes = preference(request.headers.get("prefer"))
    if wishes.asynchronous and entry.stored is None:
        return await answer_later(desk, entry, wishes, came_at)
    return await answer_whole(request, desk, entry, came_at)


async def enter(request: Request, desk: Desk, wanted: Wanted) -> Entry:
    """Let the ask in, and note what must be known of it later."""
    ask_id = await idempotency.bind(desk, wanted, request.headers.get("idempotency-key"))
    wanted = replace(wanted, ask=wanted.ask.model_copy(update={"ask_id": ask_id}))
    entry = await dispatch.enter(desk, wanted)
    try:
        await _note(desk, wanted, entry)
    except StoreUnavailable:
        desk.chore(desk.leave(entry.ask_id))  # its asker is told that nothing was accepted
        raise
    return entry


async def _note(desk: Desk, wanted: Wanted, entry: Entry) -> None:
    if wanted.webhook_url is not None:
        ending = entry.stored.done if entry.stored else None
        await desk.webhooks.keep(entry.ask_id, wanted.webhook_url, ending)
    if wanted.ask.explain:
        await explanation.note(desk, wanted.ask, entry.ask_id)


async def resume(request: Request, desk: Desk, wanted: Wanted) -> tuple[Entry, str] | None:
    """The ask that `Last-Event-ID` names and the place in it; None: a new ask.

    A stream that broke is taken up where it was, though the ask may have ended meanwhile.
    """
    named = events.resumed_from(request.headers.get("last-event-id"))
    if named is None or named[0] is None:
        return None
    ask_id, place = named[0], named[1]
    record = await desk.ledger.get(ask_id)
    if record is None or record.tenant != wanted.tenant:
        return None
    if record.state in OPEN:
        await desk.come_back(ask_id)
    if record.answered_again:
        return Entry(wanted, ask_id, None, "hit"), place
    key = dispatch.key_of(wanted, await desk.fleet())
    return Entry(wanted, ask_id, key, "miss" if key else "off"), place


def stream(desk: Desk, entry: Entry, place: str = FROM_START) -> Response:
    """The ask's events as they come."""
    settings = desk.settings
    following = dispatch.follow(desk, entry, place, grace_seconds=settings.resume_grace_seconds)
    began = f"{entry.ask_id}/{place}"
    return events.respond(following, began, settings.ping_seconds, Waiting(desk), headers_of(entry))


async def answer_later(desk: Desk, entry: Entry, wishes: Preference, came_at: float) -> Response:
    """The answer if it comes within the wish, else 202 and where to look."""
    tending = desk.chore(fold(dispatch.follow(desk, entry, grace_seconds=None)))
    if wishes.wait_seconds:
        await asyncio.wait({tending}, timeout=wishes.wait_seconds)
    if tending.done():
        return respond(*tending.result(), entry, came_at)
    record = await desk.record(entry.ask_id)
    if record is None:
        raise AskLost(entry.ask_id)
    state = await state_of(desk, record)
    headers = {
        **headers_of(entry),
        "Location": f"/v1/asks/{entry.ask_id}",
        "Preference-Applied": "respond-async",
        "Retry-After": "1",
    }
    return JSONResponse(state.model_dump(mode="json"), 202, headers)


async def answer_whole(request: Request, desk: Desk, entry: Entry, came_at: float) -> Response:
    """Fold the events into one answer."""
    ended = await whole_ending(request, desk, entry)
    return Response(status_code=HUNG_UP) if ended is None else respond(*ended, entry, came_at)


async def whole_ending(
    request: Request, desk: Desk, entry: Entry
) -> tuple[Done | Failed, str] | None:
    """The ending and the ask it is of; None when the asker hung up, which cancels the ask."""
    folding = asyncio.create_task(fold(dispatch.follow(desk, entry)))
    leaving = asyncio.create_task(hang_up(request))
    try:
        await asyncio.wait({folding, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return folding.result() if folding.done() else None
    finally:
        leaving.cancel()
        folding.cancel()


def respond(ending: Done | Failed, ask_id: str, entry: Entry, came_at: float) -> Response:
    """One ending as the whole answer; raises the Problem of a bad one."""
    if isinstance(ending, Failed):
        raise from_failed(ending, ask_id)
    answer = answer_of(ending, ask_id)
    stay_ms = (time.perf_counter() - came_at) * 1000
    headers = {**headers_of(entry), "Server-Timing": server_timing(answer.timings, stay_ms)}
    return Response(answer.model_dump_json(), headers=headers, media_type="application/json")


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


def server_timing(timings: Timings, stay_ms: float) -> str:
    """The header `Server-Timing`: the body's own numbers, and the whole stay in the gateway."""
    said: dict[str, Any] = timings.model_dump()
    named = [f"{name.removesuffix('_ms')};dur={ms}" for name, ms in said.items()]
    return ", ".join([*named, f'gateway;dur={stay_ms:.1f};desc="request in to reply out"'])


def headers_of(entry: Entry) -> dict[str, str]:
    """Which ask this is, and how old a stored answer is."""
    headers = {"X-Ask-Id": entry.ask_id, "Cache-Control": "no-store"}
    if entry.key is not None:
        headers["ETag"] = f'"{entry.key}"'
    if entry.expected_wait_seconds is not None:
        headers["X-Expected-Wait"] = f"{entry.expected_wait_seconds:.1f}"
    if entry.stored is not None:
        headers["Age"] = str(int(entry.stored.age_seconds))
    return headers
