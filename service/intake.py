"""Reads the body of an ask, JSON or form, into one shape; knows content types and byte limits.

Both ways in give the same params, texts and raw pictures, so nothing after this file knows how
they were sent. What a picture must be like is `service.images`' business.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from typing import TypeVar

from anyio import to_thread
from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from service.images import Raw, from_base64
from service.problems import Problem
from service.refusals import from_validation
from service.schema import AskBody, AskParams, ImageItem
from service.settings import Settings

FORM_PARTS = ("images", "question", "params")
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


Item = str | Raw | Named | Linked


@dataclass(frozen=True, slots=True)
class Incoming:
    """An ask as it came: texts (str) and pictures in the order of the request."""

    question: str
    params: AskParams
    items: tuple[Item, ...]


async def read(request: Request, settings: Settings) -> Incoming:
    """The ask in the body of a request; raises Problem."""
    kind = content_type(request)
    if kind == "multipart/form-data":
        incoming = await _read_form(request, settings)
    elif kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        incoming = await _read_json(request, settings)
    else:
        raise Problem(
            "unsupported_media_type", "Send the ask as application/json or multipart/form-data."
        )
    check_texts(incoming, settings)
    return incoming


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


async def _read_json(request: Request, settings: Settings) -> Incoming:
    body = await whole_body(request, settings.max_json_bytes, "A JSON body")
    if len(body) < SMALL_BODY_BYTES:
        return _from_json(body, settings)
    return await to_thread.run_sync(_from_json, body, settings)


async def parsed(kind: type[Body], text: bytes) -> Body:
    """One JSON body of a known shape, read in a thread when it is large; raises Problem."""
    if len(text) < SMALL_BODY_BYTES:
        return parse(kind, text)
    return await to_thread.run_sync(parse, kind, text)


def _from_json(text: bytes, settings: Settings) -> Incoming:
    body = parse(AskBody, text)
    check_count(sum(item.text is None for item in body.images), settings)
    items: list[Item] = []
    index = 0
    for place, item in enumerate(body.images):
        items.append(_item(item, index, f"/images/{place}"))
        index += item.text is None
    return Incoming(body.question, body, tuple(items))


def _item(item: ImageItem, index: int, field: str) -> Item:
    if item.text is not None:
        return item.text
    if item.id is not None:
        return Named(item.id.removeprefix("sha256:"), index, f"{field}/id")
    if item.url is not None:
        return Linked(item.url, index, f"{field}/url")
    return from_base64(item.data or "", index, f"{field}/data")


async def _read_form(request: Request, settings: Settings) -> Incoming:
    # More files than allowed are counted up to a point, so that the refusal can say how many.
    form = await _form(request, settings, 2 * settings.max_images + 8)
    try:
        return await _from_form(form, settings)
    finally:
        await form.close()


async def _form(request: Request, settings: Settings, max_files: int) -> FormData:
    try:
        return await request.form(
            max_files=max_files,
            max_fields=16,
            max_part_size=settings.max_params_bytes + 4 * settings.max_text_chars,
        )
    except HTTPException as wrong:
        if wrong.status_code == 413:
            raise
        raise Problem(
            "bad_request",
            "The form cannot be read: send a whole multipart body with its boundary, named "
            f"parts, and no more files than allowed ({settings.max_images} in an ask).",
        ) from None


async def _from_form(form: FormData, settings: Settings) -> Incoming:
    for name in form:
        if name not in FORM_PARTS:
            detail = "The parts of the form are images, question and params; put others in params."
            shown = f"/{name}" if name.isascii() and name.isidentifier() else None
            raise Problem("bad_request", detail, field=shown)
    question, params = _text_part(form, "question"), _text_part(form, "params")
    if not question:
        raise Problem("bad_request", "Add a text part named question.", field="/question")
    if len((params or "").encode()) > settings.max_params_bytes:
        raise Problem(
            "too_large",
            f"The part params may have {settings.max_params_bytes} bytes.",
            field="/params",
            limit=settings.max_params_bytes,
        )
    chosen = parse(AskParams, params) if params else AskParams()
    files = form.getlist("images")
    check_count(len(files), settings)
    raws = [await _file_part(file, index) for index, file in enumerate(files)]
    return Incoming(question, chosen, tuple(raws))


def _text_part(form: FormData, name: str) -> str | None:
    parts = form.getlist(name)
    if len(parts) > 1:
        raise Problem("bad_request", f"Send the part {name} once.", field=f"/{name}")
    if parts and not isinstance(parts[0], str):
        detail = f"The part {name} must be text, without a file name."
        raise Problem("bad_request", detail, field=f"/{name}")
    return parts[0] if parts and isinstance(parts[0], str) else None


async def _file_part(part: UploadFile | str, index: int) -> Raw:
    field = f"/images/{index}"
    if isinstance(part, str):
        detail = f"Picture {index + 1}: send it as a file part, with a file name."
        raise Problem("bad_request", detail, field=field, image_index=index)
    return Raw(await part.read(), index, field)


async def read_picture(request: Request, settings: Settings) -> Raw:
    """One picture: the part `image` of a form, or the body itself with a type of image/*."""
    kind = content_type(request)
    if kind == "multipart/form-data":
        form = await _form(request, settings, 1)
        try:
            parts = form.getlist("image")
            if len(parts) != 1 or len(form) != 1:
                detail = "Send exactly one file part, named image."
                raise Problem("bad_request", detail, field="/image")
            raw = await _file_part(parts[0], 0)
            return Raw(raw.data, 0, "/image")
        finally:
            await form.close()
    if kind.startswith("image/") or kind == "application/octet-stream":
        limit = min(settings.max_image_bytes, settings.max_body_bytes)
        return Raw(await whole_body(request, limit, "A picture"), 0, "")
    detail = "Send the picture's bytes as image/*, or multipart/form-data with a part image."
    raise Problem("unsupported_media_type", detail)


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
