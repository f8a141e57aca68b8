"""An ask as it came, whichever way; read from JSON here, and checked for count and length.

Forms give the same params, texts and pictures (`service.bodies`), so nothing after this file
knows how they were sent. What a picture must be like is `service.images`' business.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import TypeVar

from anyio import to_thread
from fastapi import Request
from pydantic import BaseModel, ValidationError

from service.images import Raw, from_base64
from service.problems import Problem
from service.refusals import from_validation
from service.schema import AskBody, AskParams, ImageItem
from service.settings import Settings

Body = TypeVar("Body", bound=BaseModel)
SMALL_BODY_BYTES = 16 * 1024  # Below this a thread costs more than the parsing (0.1 ms).


@dataclass(frozen=True, slots=True)
class Named:
    """A picture that the asker names by its SHA-256 in hex."""

    digest: str
    index: int
    field: str


@dataclass(frozen=True, slots=True)
class Linked:
    """A picture by its address."""

    url: str
    index: int
    field: str


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture of a form that was looked at and stored already; pixels as shown."""

    digest: str
    width: int
    height: int


Item = str | Raw | Named | Linked | Kept
Look = Callable[[AskParams], Awaitable[None]]
"""Hears an ask's params before its pictures are dealt with; raises Problem to refuse it now."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """An ask as it came: texts (str) and pictures in the order of the request."""

    question: str
    params: AskParams
    items: tuple[Item, ...]


def content_type(request: Request) -> str:
    """The media type of the body in lower case, without parameters; empty when not given."""
    given = request.headers.get("content-type", "")
    if not given:
        return ""
    message = Message()
    message["content-type"] = given
    return message.get_content_type()


async def whole_body(request: Request, limit: int, what: str) -> bytes:
    """The body, at most `limit` bytes; given up as soon as there are more."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise Problem(
                "too_large",
                f"{what} may have {limit} bytes here; send less, or pictures as a form.",
                limit=limit,
                actual=size,
            )
        chunks.append(chunk)
    return b"".join(chunks)


def parse(kind: type[Body], text: str | bytes) -> Body:
    """One JSON body of a known shape; raises Problem."""
    try:
        return kind.model_validate_json(text, strict=True)
    except ValidationError as wrong:
        raise from_validation(wrong.errors(include_input=False, include_url=False)) from None


async def read_json(request: Request, settings: Settings, look: Look) -> Incoming:
    """The ask of a JSON body; raises Problem."""
    body = await whole_body(request, settings.max_json_bytes, "A JSON body")
    asked = await parsed(AskBody, body)
    await look(asked)
    check_count(sum(item.text is None for item in asked.images), settings)
    if len(body) < SMALL_BODY_BYTES:
        return _items(asked)
    return await to_thread.run_sync(_items, asked)


async def parsed(kind: type[Body], text: bytes) -> Body:
    """One JSON body of a known shape, read in a thread when it is large; raises Problem."""
    if len(text) < SMALL_BODY_BYTES:
        return parse(kind, text)
    return await to_thread.run_sync(parse, kind, text)


def _items(asked: AskBody) -> Incoming:
    items: list[Item] = []
    index = 0
    for place, item in enumerate(asked.images):
        items.append(_item(item, index, f"/images/{place}"))
        index += item.text is None
    return Incoming(asked.question, asked, tuple(items))


def _item(item: ImageItem, index: int, field: str) -> Item:
    if item.text is not None:
        return item.text
    if item.id is not None:
        return Named(item.id.removeprefix("sha256:"), index, f"{field}/id")
    if item.url is not None:
        return Linked(item.url, index, f"{field}/url")
    return from_base64(item.data or "", index, f"{field}/data")


def check_count(count: int, settings: Settings, field: str = "/images") -> None:
    """Refuse an ask without pictures, or with too many."""
    if count == 0:
        raise Problem("bad_request", "Send at least one picture.", field=field, limit=1, actual=0)
    if count > settings.max_images:
        raise Problem(
            "bad_request",
            f"{count} pictures were sent; {settings.max_images} are allowed. Send fewer.",
            field=field,
            limit=settings.max_images,
            actual=count,
        )


def check_texts(incoming: Incoming, settings: Settings) -> None:
    """Refuse a question of blanks, and texts that are too long together."""
    if not incoming.question.strip():
        raise Problem("bad_request", "The question is empty; ask something.", field="/question")
    texts = [("/question", incoming.question)]
    for place, item in enumerate(incoming.items):
        if isinstance(item, str):
            texts.append((f"/images/{place}/text", item))
    check_length(texts, settings)


def check_turns(turns: Sequence[tuple[str, Sequence[Item]]], settings: Settings) -> None:
    """Refuse a conversation whose texts are too long together."""
    texts = [
        (f"/messages/{number}/content", item)
        for number, (_, items) in enumerate(turns)
        for item in items
        if isinstance(item, str)
    ]
    check_length(texts, settings)


def check_length(texts: Sequence[tuple[str, str]], settings: Settings) -> None:
    """Refuse texts that are too long together, naming the field that is one too many."""
    limit, total = settings.max_text_chars, 0
    for field, text in texts:
        total += len(text)
        if total > limit:
            raise Problem(
                "bad_request",
                f"The texts up to here have {total} characters; {limit} are allowed. Shorten them.",
                field=field,
                limit=limit,
                actual=total,
            )
