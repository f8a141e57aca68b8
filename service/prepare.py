"""From a request to an ask at the door: read, fetch, check, build the wire's message.

Everything before the ledger, for every dialect. Nothing here waits for an answer or decides who
may ask.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from anyio import to_thread
from fastapi import Request
from opentelemetry import propagate

from service import bodies
from service.costs import Costs
from service.desk import Desk
from service.dispatch import CacheMode, Wanted
from service.images import SMALL_PICTURES_BYTES, Picture, Raw, check, check_small
from service.intake import Item, Kept, Linked, Named
from service.keys import Key
from service.problems import Problem
from service.schema import AskParams
from service.settings import Settings
from service.shelf import Note
from wire.messages import Ask, ImagePart, TextPart, Turn
from wire.pruning import Tiles
from wire.tracing import trace_id

Said = tuple[Literal["system", "user", "assistant"], Sequence[Item]]


@dataclass(frozen=True, slots=True)
class Gathered:
    """Turns as the wire has them, pictures to store, and (width, height) of every picture."""

    turns: tuple[Turn, ...]
    pictures: list[Picture]
    sizes: list[tuple[int, int]]


async def prepare(request: Request, desk: Desk, key: Key) -> tuple[Wanted, bool]:
    """Everything before the ledger for an ask of our own dialect; and whether to stream."""
    settings = desk.settings
    taking = Taking(desk, key)
    incoming = await bodies.read(request, settings, taking.look, taking.keep)
    params = incoming.params
    deadline = time.time() + timeout_seconds(params.timeout_seconds, settings)
    if params.webhook_url is not None:
        desk.webhooks.check(params.webhook_url)
    gathered = await gather(desk, key, [("user", [*incoming.items, incoming.question])])
    await check_costs(desk, gathered.sizes, params.tiles)
    message = build(gathered.turns, params, deadline, trace_of(request))
    mode = cache_mode(params.cache, request.headers.get("cache-control"))
    wanted = Wanted(
        message, gathered.pictures, key.owner, mode, key.max_open_asks, params.webhook_url
    )
    return wanted, params.stream or wants_events(request)


@dataclass(slots=True)
class Taking:
    """What becomes of an ask's params and pictures while its body is being read."""

    desk: Desk
    key: Key
    stores: bool = True
    pixels: int = 0

    async def look(self, params: AskParams) -> None:
        """Refuse an ask for which there is no room, if that was so lately, before its pictures."""
        seconds = timeout_seconds(params.timeout_seconds, self.desk.settings)
        await self.desk.check_room(self.key, seconds)

    async def keep(self, raw: Raw) -> Kept:
        """Check one picture of a form, and store it."""
        (picture,) = await checked(self.desk, [raw], self.pixels)
        self.pixels += picture.width * picture.height
        if self.stores:
            await self.desk.shelf.put(self.key.owner, [picture])
        return Kept(picture.digest, picture.width, picture.height)


async def gather(desk: Desk, key: Key, said: Sequence[Said]) -> Gathered:
    """Look at every picture of all turns: fetch, decode, or find what was sent before."""
    items = [item for _, turn in said for item in turn]
    linked = [item for item in items if isinstance(item, Linked)]
    fetched = iter(await desk.fetcher.fetch(linked, desk.settings.max_image_bytes))
    seen = [next(fetched) if isinstance(item, Linked) else item for item in items]
    pictures = await checked(desk, [item for item in seen if isinstance(item, Raw)])
    notes = await known(desk, key.owner, [item for item in seen if isinstance(item, Named)])
    fresh, following = iter(pictures), iter(seen)
    sizes: list[tuple[int, int]] = []
    turns = []
    for role, turn in said:
        parts: list[ImagePart | TextPart] = []
        for _, item in zip(turn, following, strict=False):  # in this order: zip reads ahead
            if isinstance(item, str):
                parts.append(TextPart(text=item))
                continue
            digest, size = _seen(item, notes, fresh)
            parts.append(ImagePart(digest=digest, index=len(sizes)))
            sizes.append(size)
        turns.append(Turn(role=role, parts=tuple(parts)))
    return Gathered(tuple(turns), pictures, sizes)


def _seen(
    item: Raw | Named | Kept, notes: dict[str, Note], fresh: Iterator[Picture]
) -> tuple[str, tuple[int, int]]:
    if isinstance(item, Kept):
        return item.digest, (item.width, item.height)
    if isinstance(item, Named):
        note = notes[item.digest]
        return item.digest, (note.width, note.height)
    picture = next(fresh)
    return picture.digest, (picture.width, picture.height)


async def checked(desk: Desk, raws: list[Raw], pixels: int = 0) -> list[Picture]:
    """Pictures that are sound; at most `decode_threads` asks are looked at at once.

    `pixels`: those of the ask's pictures that were checked before these.
    """
    if not raws:
        return []
    try:
        if sum(len(raw.data) for raw in raws) < SMALL_PICTURES_BYTES:
            small = check_small(raws, desk.settings, pixels)
            if small is not None:
                return small
        return await to_thread.run_sync(check, raws, desk.settings, pixels, limiter=desk.decoding)
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


async def check_costs(desk: Desk, sizes: Sequence[tuple[int, int]], tiles: Tiles) -> None:
    """Refuse what cannot fit: more visual tokens than the limit, or than the model can read."""
    costs = Costs.of((await desk.fleet()).facts)
    if costs is None:
        return
    limit = min(desk.settings.max_visual_tokens or costs.context, costs.context)
    # `auto` falls back to one tile per picture, so only that much is certain to be needed.
    least: Tiles = "base" if tiles == "auto" else tiles
    costing = [costs.tokens(width, height, least) for width, height in sizes]
    if sum(costing) <= limit:
        return
    total, over = 0, 0
    for over, tokens in enumerate(costing):  # noqa: B007  the last index is what is told
        total += tokens
        if total > limit:
            break
    raise Problem(
        "prompt_too_long",
        f"The pictures cost {', '.join(map(str, costing[:64]))} tokens, {sum(costing)} together; "
        f"{limit} are allowed. Send fewer or smaller pictures, or `tiles: base`.",
        field="/images",
        image_index=over,
        limit=limit,
        actual=sum(costing),
    )


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


def cache_mode(chosen: CacheMode, control: str | None) -> CacheMode:
    """What the body chose, or what `Cache-Control` asks for where it chose nothing stricter."""
    words = {word.strip().lower() for word in (control or "").split(",")}
    if chosen == "off" or "no-store" in words:
        return "off"
    return "refresh" if "no-cache" in words else chosen


def wants_events(request: Request) -> bool:
    """Whether the header `Accept` names the event stream."""
    accepted = request.headers.get("accept", "").lower()
    return any(part.split(";")[0].strip() == "text/event-stream" for part in accepted.split(","))


def trace_of(request: Request) -> str | None:
    """The trace to go on in the worker: our own span where tracing is on, else the asker's."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    trace = carrier.get("traceparent") or request.headers.get("traceparent", "")
    return trace if trace_id(trace) else None


def build(
    turns: tuple[Turn, ...],
    params: AskParams,
    deadline: float,
    traceparent: str | None,
    logprobs: int | None = None,
) -> Ask:
    """The wire's message, under a new id."""
    return Ask(
        ask_id=f"ask_{uuid.uuid4().hex}",
        turns=turns,
        options=params.options,
        pruning=params.pruning,
        generation=params.generation,
        tiles=params.tiles,
        explain=params.explain,
        logprobs=logprobs,
        deadline=deadline,
        traceparent=traceparent,
    )
