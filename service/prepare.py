"""From a request to an ask at the door: read, check, build the wire's message.

Everything before the ledger. Nothing here waits for an answer or decides who may ask.
"""

import re
import time
import uuid

from anyio import to_thread
from fastapi import Request

from service import intake
from service.desk import Desk
from service.dispatch import CacheMode, Wanted
from service.images import Picture, Raw, check
from service.intake import Incoming, Named
from service.keys import Key
from service.problems import Problem
from service.settings import Settings
from service.shelf import Note
from wire.messages import Ask, ImagePart, TextPart, Turn

TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


async def prepare(request: Request, desk: Desk, key: Key) -> tuple[Wanted, bool]:
    """Everything before the ledger: read, check, build; and whether to stream."""
    settings = desk.settings
    incoming = await intake.read(request, settings)
    deadline = time.time() + timeout_seconds(incoming.params.timeout_seconds, settings)
    pictures = await checked(desk, [item for item in incoming.items if isinstance(item, Raw)])
    await known(desk, key.owner, [item for item in incoming.items if isinstance(item, Named)])
    message = build(incoming, pictures, deadline, request.headers.get("traceparent"))
    streams = incoming.params.stream or wants_events(request)
    mode = cache_mode(incoming.params.cache, request.headers.get("cache-control"))
    return Wanted(message, pictures, key.owner, mode, key.max_open_asks), streams


def cache_mode(chosen: CacheMode, control: str | None) -> CacheMode:
    """What the body chose, or what `Cache-Control` asks for where it chose nothing stricter."""
    words = {word.strip().lower() for word in (control or "").split(",")}
    if chosen == "off" or "no-store" in words:
        return "off"
    return "refresh" if "no-cache" in words else chosen


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
