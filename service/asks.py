"""Asks that are not waited for: look one up, wait a while, follow its events, cancel, list.

Whoever looks on never cancels by leaving. Only the tenant that asked sees an ask; to others it
does not exist.
"""

import asyncio
import contextlib
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Response

from service import events, samples
from service.caller import TheCaller, TheDesk, may
from service.desk import Desk
from service.dispatch import Events
from service.openapi import EVENTS_DOCUMENT, problem_responses
from service.problems import Problem, from_failed
from service.progress import Waiting, progress_of
from service.schema import AskPage, AskState, AskSummary, ProblemBody, answer_of
from wire.mailbox import FROM_START
from wire.messages import Done, Failed, Token
from wire.records import OPEN, Record, State

LONGEST_WAIT_SECONDS = 60.0
ASK_ID = r"^ask_[0-9A-Za-z_-]{8,64}$"

router = APIRouter(tags=["asks"])
READS = Depends(may("read"))
ASKS = Depends(may("ask"))
AskId = Annotated[str, Path(pattern=ASK_ID)]


async def record_or_problem(desk: TheDesk, key: TheCaller, ask_id: AskId) -> Record:
    """The record of an ask of this tenant; Problem `not_found`."""
    record = await desk.record(ask_id)
    if record is None or record.tenant != key.owner:
        raise Problem("not_found", "No such ask, or it was forgotten after its time; ask again.")
    return record


TheRecord = Annotated[Record, Depends(record_or_problem)]


@router.get(
    "/v1/asks/{ask_id}",
    operation_id="get_ask",
    dependencies=[READS],
    responses={
        200: {"content": {"application/json": {"examples": samples.ASK_STATES}}},
        **problem_responses(401, 403, 404, 422, 503),
    },
)
async def get_ask(
    desk: TheDesk,
    key: TheCaller,
    record: TheRecord,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_SECONDS, allow_inf_nan=False)] = 0,
) -> AskState:
    """Look an ask up; with `wait`, as soon as it has ended or after so many seconds."""
    if wait and record.state in OPEN:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await _ended(desk, record.ask_id)
        record = await record_or_problem(desk, key, record.ask_id)
    return await state_of(desk, record)


async def _ended(desk: Desk, ask_id: str) -> None:
    async with aclosing(desk.mailbox.events(ask_id)) as coming:
        async for _ in coming:
            pass


async def state_of(desk: Desk, record: Record) -> AskState:
    """What HTTP shows of an ask, its answer or problem included."""
    summary = summary_of(record).model_dump()
    progress = progress_of(record)
    if progress is not None:
        return AskState(**summary | progress.model_dump())
    ending = await desk.mailbox.ending(record.ask_id)
    if ending is None:
        return AskState(**summary)
    if isinstance(ending, Failed):
        problem = from_failed(ending, record.ask_id)
        return AskState(**summary, error=ProblemBody.model_validate(problem.body()))
    return AskState(**summary, answer=answer_of(ending, record.ask_id))


def summary_of(record: Record) -> AskSummary:
    """What a list shows of an ask."""
    return AskSummary(
        id=record.ask_id,
        status=record.state,
        created_at=record.accepted_at,
        deadline=record.deadline,
    )


@router.get(
    "/v1/asks",
    operation_id="list_asks",
    dependencies=[READS],
    responses=problem_responses(401, 403, 422, 503),
)
async def list_asks(
    desk: TheDesk,
    key: TheCaller,
    cursor: Annotated[int | None, Query(ge=0, lt=2**53)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    status: State | None = None,
) -> AskPage:
    """List asks, newest first; a page may be short while `next` is given."""
    records, following = await desk.ledger.page(cursor, limit, status, key.owner)
    return AskPage(data=tuple(map(summary_of, records)), next=following)


@router.delete(
    "/v1/asks/{ask_id}",
    operation_id="cancel_ask",
    status_code=202,
    dependencies=[ASKS],
    responses=problem_responses(401, 403, 404, 409, 422, 503),
)
async def cancel_ask(desk: TheDesk, key: TheCaller, record: TheRecord) -> AskState:
    """Cancel an ask; the worker stops within one decoding step."""
    outcome = await desk.ledger.cancel(record.ask_id, everyone=True)
    if outcome == "ended":
        detail = "The ask has ended already; there is nothing left to cancel."
        raise Problem("conflict", detail, ask_id=record.ask_id)
    return await state_of(desk, await record_or_problem(desk, key, record.ask_id))


@router.get(
    "/v1/asks/{ask_id}/events",
    operation_id="follow_ask",
    dependencies=[READS],
    response_class=Response,
    **EVENTS_DOCUMENT,
)
async def follow_ask(
    desk: TheDesk,
    record: TheRecord,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Follow an ask's events from the start, or after `Last-Event-ID`; 204 after the last one."""
    named = events.resumed_from(last_event_id)
    after = named[1] if named and named[0] in (None, record.ask_id) else FROM_START
    told = _told(desk, record.ask_id, after)
    if after != FROM_START and record.state not in OPEN:
        first = await anext(told, None)
        if first is None:  # a browser's EventSource would come back for ever
            return Response(status_code=204)
        told = _resumed(first, told)
    place = f"{record.ask_id}/{after}"
    return events.respond(told, place, desk.settings.ping_seconds, Waiting(desk), {})


async def _told(desk: Desk, ask_id: str, after: str) -> Events:
    async with aclosing(desk.mailbox.events(ask_id, after)) as coming:
        async for place, event in coming:
            yield f"{ask_id}/{place}", event


async def _resumed(first: tuple[str, Token | Done | Failed], rest: Events) -> Events:
    yield first
    async with aclosing(rest) as coming:
        async for named in coming:
            yield named
