"""Lets an ask in and follows it to its one ending: stored answer, joined ask, or a new one.

The only path of a reply: everything that answers folds or forwards what `follow` yields. Knows
the ledger's words and the deadline; knows neither HTTP nor how a body looked.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Literal

from service.crowd import no_room
from service.desk import Desk
from service.images import Picture
from service.problems import Problem
from wire.answers import StoredAnswer, answer_key, is_repeatable
from wire.calls import EXPIRED
from wire.errors import StoreUnavailable
from wire.mailbox import FROM_START
from wire.messages import Ask, CacheUse, Done, Failed, Timings, Token
from wire.records import Accepted, Joined, Missing, Refused, Room, Submitted
from wire.workers import Fleet

CacheMode = Literal["use", "refresh", "off"]
Events = AsyncGenerator[tuple[str, Token | Done | Failed]]
DOOR_SECONDS = 0.9  # Whoever comes while the store hangs is told so within a second.
GRACE_SECONDS = 0.5  # From the deadline to the ledger's own word that the time was up.
OTHERS_ENDINGS = ("expired", "cancelled", "dead")
STORED_IDS = ("1-1", "1-2")  # As `AsyncLedger.answer_again` writes them.


@dataclass(frozen=True, slots=True)
class Wanted:
    """An ask at the door: its message, its new pictures, whose it is, and how it may be cached."""

    ask: Ask
    pictures: Sequence[Picture] = ()
    tenant: str = ""
    cache: CacheMode = "use"
    max_open: int | None = None
    webhook_url: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An ask that was let in: whom to follow, under which key to store, or the stored answer."""

    wanted: Wanted
    ask_id: str
    key: str | None
    result: Literal["hit", "miss", "joined", "off"]
    stored: StoredAnswer | None = None
    expected_wait_seconds: float | None = None


async def enter(desk: Desk, wanted: Wanted) -> Entry:
    """Let an ask in; raises Problem when there is no room or a picture is unknown."""
    desk.check_inflight()
    try:
        async with asyncio.timeout(DOOR_SECONDS):
            fleet = await desk.fleet()
            key = key_of(wanted, fleet)
            stored = await _stored(desk, wanted, key)
    except TimeoutError:
        raise StoreUnavailable("Redis is too slow") from None
    if stored is not None:
        return await _given_again(desk, wanted, key, stored)
    flight = key if wanted.cache == "use" else None
    entry = await _submit(desk, wanted, key, flight, fleet)
    desk.metrics.cache.labels(entry.result).inc()
    return entry


async def _given_again(desk: Desk, wanted: Wanted, key: str | None, stored: StoredAnswer) -> Entry:
    """Write a hit down, so that its id is known as long as any other; answer it in any case."""
    desk.metrics.cache.labels("hit").inc()
    done = stored.done.model_copy(update={"cache": CacheUse(result="hit"), "timings": Timings()})
    with suppress(StoreUnavailable):
        if wanted.ask.explain:  # its overlay is drawn on the pictures
            await desk.shelf.put(wanted.tenant, wanted.pictures)
        await desk.ledger.answer_again(wanted.ask, done, tenant=wanted.tenant)
    return Entry(wanted, wanted.ask.ask_id, key, "hit", StoredAnswer(done, stored.age_seconds))


async def _stored(desk: Desk, wanted: Wanted, key: str | None) -> StoredAnswer | None:
    return await desk.answers.get(key) if key is not None and wanted.cache == "use" else None


def key_of(wanted: Wanted, fleet: Fleet) -> str | None:
    """The answer's key; None when it may not be stored or nobody knows which model it would be."""
    model, revision = fleet.model, fleet.revision
    if wanted.cache == "off" or model is None or revision is None:
        return None
    if not is_repeatable(wanted.ask):
        return None
    return answer_key(wanted.ask, model=model, revision=revision, tenant=wanted.tenant)


async def _submit(
    desk: Desk, wanted: Wanted, key: str | None, flight: str | None, fleet: Fleet
) -> Entry:
    time_left = wanted.ask.deadline - time.time()
    room = desk.room(fleet, wanted.max_open, time_left)
    outcome = await _let_in(desk, wanted, room, flight)
    match outcome:
        case Accepted(ask_id, wait_seconds):
            desk.crowd.change(wanted.tenant)
            if desk.postcard is None:
                desk.publisher.post(ask_id)  # however slow the broker is, the ask is accepted
            wait = wait_seconds if fleet.slots else None
            return Entry(wanted, ask_id, key, "miss" if key else "off", expected_wait_seconds=wait)
        case Joined(ask_id):
            return Entry(wanted, ask_id, key, "joined")
        case Missing(digests):
            raise _unknown_picture(wanted.ask, digests)
        case Refused():
            desk.crowd.note(wanted.tenant, outcome, time_left)
            raise no_room(outcome)


async def _let_in(desk: Desk, wanted: Wanted, room: Room, flight: str | None) -> Submitted:
    """Submit the ask; its new pictures are stored first where they are not there already.

    Pictures that were sent before are the common case, so that is tried first: one round trip.
    """
    ask_id = wanted.ask.ask_id
    desk.mailbox.expect(ask_id)
    is_in = False
    try:
        desk.shelf.note(wanted.tenant, wanted.pictures)
        outcome = await _submitted(desk, wanted, room, flight)
        sent = {picture.digest for picture in wanted.pictures}
        if isinstance(outcome, Missing) and sent.issuperset(outcome.digests):
            await desk.shelf.fill(wanted.pictures, outcome.digests)
            outcome = await _submitted(desk, wanted, room, flight)
        is_in = isinstance(outcome, Accepted)
        return outcome
    finally:
        if not is_in:
            desk.mailbox.forget(ask_id)


async def _submitted(desk: Desk, wanted: Wanted, room: Room, flight: str | None) -> Submitted:
    message = desk.postcard.write(wanted.ask.ask_id) if desk.postcard else ""
    return await desk.ledger.submit(
        wanted.ask, tenant=wanted.tenant, room=room, flight=flight, message=message
    )


def _unknown_picture(ask: Ask, digests: Sequence[str]) -> Problem:
    for turn in ask.turns:
        for part in turn.parts:
            if part.kind == "image" and part.digest in digests:
                return Problem(
                    "bad_image",
                    f"Picture {part.index + 1} is not (or no longer) stored; send its bytes.",
                    field="/images",
                    image_index=part.index,
                )
    return Problem("bad_image", "A picture is no longer stored; send its bytes.", field="/images")


async def follow(
    desk: Desk, entry: Entry, after: str = FROM_START, *, grace_seconds: float | None = 0
) -> Events:
    """Yield `(event id, event)` up to and with the one ending, by the ask's own deadline.

    Whoever stops reading before the ending has left: then the ask is cancelled, unless others
    wait for it or it is taken up within `grace_seconds` (None: never).
    An event's id is `<ask id>/<place in its stream>`.
    """
    if entry.stored is not None:
        for stored_id, stored in _stored_events(entry):
            yield stored_id, stored
        return
    ended, sent = False, 0
    desk.inflight += 1
    try:
        async with aclosing(_until_deadline(desk, entry, after)) as events:
            async for event_id, event in events:
                if isinstance(event, Failed) and _may_ask_anew(entry, event):
                    break
                sent += len(event.text) if isinstance(event, Token) else 0
                ended = event.kind != "token"
                yield f"{entry.ask_id}/{event_id}", await _ending(desk, entry, event)
                if ended:
                    return
            else:
                ended = True  # resumed after the ending: there is nothing left to tell
                return
        async with aclosing(_anew(desk, entry.wanted, sent)) as events:
            async for named in events:
                ended = named[1].kind != "token"
                yield named
    finally:
        desk.inflight -= 1
        desk.crowd.change(entry.wanted.tenant)
        if not ended and grace_seconds is not None:
            desk.chore(desk.leave(entry.ask_id, grace_seconds))


def _may_ask_anew(entry: Entry, failed: Failed) -> bool:
    """Whether somebody else's ask, which we joined, ended by its own asker's time or will."""
    return (
        entry.result == "joined"
        and failed.code in OTHERS_ENDINGS
        and time.time() < entry.wanted.ask.deadline
    )


async def _anew(desk: Desk, wanted: Wanted, sent: int) -> Events:
    """Ask alone what was joined before, leaving out the characters that were sent already."""
    fleet = await desk.fleet()
    entry = await _submit(desk, wanted, key_of(wanted, fleet), None, fleet)
    async with aclosing(follow(desk, entry)) as events:
        async for event_id, event in events:
            if isinstance(event, Token) and sent:
                rest, sent = event.text[sent:], max(0, sent - len(event.text))
                if rest:
                    yield event_id, Token(text=rest)
            else:
                yield event_id, event


async def _until_deadline(desk: Desk, entry: Entry, after: str) -> Events:
    deadline = entry.wanted.ask.deadline
    for grace in (0.0, GRACE_SECONDS):
        async with aclosing(desk.mailbox.events(entry.ask_id, after)) as events:
            while True:
                try:
                    async with asyncio.timeout(max(0.0, deadline + grace - time.time())):
                        after, event = await anext(events)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    break
                except StoreUnavailable:
                    if time.time() < deadline:
                        raise
                    break
                yield after, event
                if event.kind != "token":
                    return
        if grace == 0:
            await _let_expire(desk)
    # Nobody waits any more, so it is expired whether or not the ledger can say so now.
    yield after, EXPIRED


async def _let_expire(desk: Desk) -> None:
    """Have the ledger end what is out of time, unless it is away."""
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            await desk.reap()


async def _ending(desk: Desk, entry: Entry, event: Token | Done | Failed) -> Token | Done | Failed:
    """Mark an ending with what the cache did, store what may be stored, and count it."""
    if isinstance(event, Token):
        return event
    desk.metrics.observe(event)
    if isinstance(event, Failed):
        return event
    if entry.key is not None and entry.wanted.cache != "off" and event.finish_reason != "cancelled":
        await desk.answers.put(entry.key, event)
    return event.model_copy(
        update={"cache": event.cache.model_copy(update={"result": entry.result})}
    )


def _stored_events(entry: Entry) -> list[tuple[str, Token | Done]]:
    assert entry.stored is not None
    done = entry.stored.done
    return [
        (f"{entry.ask_id}/{STORED_IDS[0]}", Token(text=done.answer)),
        (f"{entry.ask_id}/{STORED_IDS[1]}", done),
    ]
