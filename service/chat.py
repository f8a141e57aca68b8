"""OpenAI's dialect: POST /v1/chat/completions and GET /v1/models.

The same door, ledger and events as every ask; only words and shapes differ.
"""

import time
from typing import Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from fastapi.sse import EventSourceResponse

from service import dispatch, intake
from service.ask import whole_ending
from service.caller import TheCaller, TheDesk, may
from service.chat_schema import ChatBody, ImageContent, ImageUrl, OtherMessage, UserMessage
from service.chat_shape import Chunks, completion
from service.desk import Desk
from service.dispatch import Wanted
from service.images import from_base64
from service.intake import Item, Linked
from service.keys import Key
from service.openapi import CHAT_DOCUMENT, MODELS_DOCUMENT
from service.prepare import (
    Said,
    build,
    cache_mode,
    check_costs,
    gather,
    timeout_seconds,
    trace_of,
)
from service.problems import Problem, from_failed
from service.refusals import HUNG_UP
from wire.messages import Failed
from wire.pruning import Tiles
from wire.workers import Card

DETAILS: dict[str, Tiles] = {"auto": "auto", "low": "base", "high": "max"}

router = APIRouter(tags=["openai"])


@router.post(
    "/v1/chat/completions",
    operation_id="create_chat_completion",
    dependencies=[Depends(may("ask", paced=True))],
    **CHAT_DOCUMENT,
)
async def create_chat_completion(request: Request, desk: TheDesk, key: TheCaller) -> Response:
    """Answer a conversation with pictures."""
    created = int(time.time())
    with desk.holding(request.headers.get("content-length")):
        body = await read(request, desk)
        wanted = await wanted_of(request, desk, key, body)
        entry = await dispatch.enter(desk, wanted)
    if body.stream:
        with_usage = body.stream_options is not None and body.stream_options.include_usage
        chunks = Chunks(entry.ask_id, created, body.model, with_usage=with_usage)
        frames = chunks.frames(dispatch.follow(desk, entry), desk.settings.ping_seconds)
        return EventSourceResponse(frames, headers={"Cache-Control": "no-store"})
    ended = await whole_ending(request, desk, entry)
    if ended is None:
        return Response(status_code=HUNG_UP)
    ending, ask_id = ended
    if isinstance(ending, Failed):
        raise from_failed(ending, ask_id)
    return JSONResponse(completion(ending, ask_id, created))


async def read(request: Request, desk: Desk) -> ChatBody:
    """The body, checked as far as its shape goes."""
    if intake.content_type(request) != "application/json":
        raise Problem("unsupported_media_type", "Send the conversation as application/json.")
    text = await intake.whole_body(request, desk.settings.max_json_bytes, "A JSON body")
    body = await intake.parsed(ChatBody, text)
    if body.messages[-1].role != "user":
        detail = "The last message must be the user's; add one."
        raise Problem("bad_request", detail, field=f"/messages/{len(body.messages) - 1}/role")
    if body.top_logprobs is not None and not body.logprobs:
        detail = "`top_logprobs` must come with `logprobs: true`."
        raise Problem("bad_request", detail, field="/top_logprobs")
    model = (await desk.fleet()).model
    if model is not None and body.model != model:
        detail = "No such model here; GET /v1/models lists what there is."
        raise Problem("not_found", detail, field="/model")
    return body


async def wanted_of(request: Request, desk: Desk, key: Key, body: ChatBody) -> Wanted:
    """The conversation as an ask at the door."""
    await desk.check_room(key, timeout_seconds(body.timeout_seconds, desk.settings))
    said, urls = turns_of(body)
    intake.check_count(len(urls), desk.settings, field="/messages")
    intake.check_turns(said, desk.settings)
    params = body.params(tiles_of(body, urls))
    deadline = time.time() + timeout_seconds(params.timeout_seconds, desk.settings)
    gathered = await gather(desk, key, said)
    await check_costs(desk, gathered.sizes, params.tiles)
    logprobs = (body.top_logprobs or 0) if body.logprobs else None
    message = build(gathered.turns, params, deadline, trace_of(request), logprobs)
    mode = cache_mode(body.cache, request.headers.get("cache-control"))
    return Wanted(message, gathered.pictures, key.owner, mode, key.max_open_asks)


def turns_of(body: ChatBody) -> tuple[list[Said], list[ImageUrl]]:
    """Roles and items in reading order, and every picture's part."""
    urls: list[ImageUrl] = []
    said: list[Said] = []
    for number, message in enumerate(body.messages):
        role = "system" if message.role == "developer" else message.role
        said.append((role, _items(message, number, urls)))
    return said, urls


def _items(message: UserMessage | OtherMessage, number: int, urls: list[ImageUrl]) -> list[Item]:
    if isinstance(message.content, str):
        return [message.content]
    items: list[Item] = []
    for place, part in enumerate(message.content):
        if not isinstance(part, ImageContent):
            items.append(part.text)
            continue
        field = f"/messages/{number}/content/{place}/image_url/url"
        url, index = part.image_url.url, len(urls)
        urls.append(part.image_url)
        is_data = url[:5].lower() == "data:"
        items.append(from_base64(url, index, field) if is_data else Linked(url, index, field))
    return items


def tiles_of(body: ChatBody, urls: list[ImageUrl]) -> Tiles:
    """The tiling that `tiles` or the pictures' `detail` ask for."""
    details = {url.detail for url in urls}
    if body.tiles is not None:
        return body.tiles
    if len(details) > 1:
        detail = "`detail` must be the same for all pictures of one conversation."
        raise Problem("bad_request", detail, field="/messages")
    return DETAILS[details.pop()] if details else "auto"


@router.get(
    "/v1/models", operation_id="list_models", dependencies=[Depends(may("read"))], **MODELS_DOCUMENT
)
async def list_models(desk: TheDesk) -> dict[str, Any]:
    """List the models that live workers run."""
    cards = {card.model: card for card in (await desk.fleet()).takers}
    return {"object": "list", "data": [_model(card) for card in cards.values()]}


@router.get(
    "/v1/models/{name:path}",
    operation_id="get_model",
    dependencies=[Depends(may("read"))],
    **MODELS_DOCUMENT,
)
async def get_model(desk: TheDesk, name: str) -> dict[str, Any]:
    """Describe one model."""
    for card in (await desk.fleet()).takers:
        if card.model == name:
            return _model(card)
    raise Problem("not_found", "No such model here; GET /v1/models lists what there is.")


def _model(card: Card) -> dict[str, Any]:
    return {
        "id": card.model,
        "object": "model",
        "created": int(card.started_at),
        "owned_by": "myopia",
        "revision": card.revision,
        "context_tokens": card.facts.get("context"),
    }
