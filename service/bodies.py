"""The body of an ask or of one picture: its kind told apart, and forms taken in while they come.

A form's pictures are looked at and kept one by one, so that none waits in memory for the others;
those of an ask that is refused in the end leave the store when their time is up. JSON is
`service.intake`'s business, what keeping a picture means the caller's.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from fastapi import Request

from service.form import FormLimits, FormReader, Part, parts
from service.images import Raw
from service.intake import (
    Incoming,
    Item,
    Look,
    check_count,
    check_texts,
    content_type,
    parse,
    read_json,
    whole_body,
)
from service.problems import Problem
from service.schema import AskParams
from service.settings import Settings

FORM_PARTS = ("images", "question", "params")
Keep = Callable[[Raw], Awaitable[Item]]


async def read(request: Request, settings: Settings, look: Look, keep: Keep) -> Incoming:
    """The ask in the body of a request; raises Problem.

    `look` hears the params before any picture is dealt with where they come first, and may
    refuse. `keep` gets each picture of a form as soon as it is whole.
    """
    kind = content_type(request)
    if kind == "multipart/form-data":
        incoming = await _AskForm(request, settings, look, keep).read()
    elif kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        incoming = await read_json(request, settings, look)
    else:
        raise Problem(
            "unsupported_media_type", "Send the ask as application/json or multipart/form-data."
        )
    check_texts(incoming, settings)
    return incoming


@dataclass
class _AskForm:
    """One form while it is read."""

    request: Request
    settings: Settings
    look: Look
    keep: Keep
    texts: dict[str, str] = field(default_factory=dict)
    params: AskParams | None = None
    items: list[Item] = field(default_factory=list)
    begun: Counter[str] = field(default_factory=Counter)
    count: int = 0
    refused: Problem | None = None

    async def read(self) -> Incoming:
        """The whole form. A wrong form is told before a bad picture."""
        most = self.settings.max_images
        limits = FormLimits(
            # More than allowed are counted up to a point, so that the refusal says how many.
            files=2 * most + 8,
            kept_files=most,
            file_bytes=self.settings.max_image_bytes,
            text_bytes=self.settings.max_params_bytes + 4 * self.settings.max_text_chars,
        )
        reader = FormReader(self.request.headers["content-type"], limits, self._check_head)
        async with aclosing(parts(self.request, reader)) as coming:
            async for part in coming:
                if part.is_file:
                    await self._picture(part)
                else:
                    await self._text(part)
                reader.keeping = self.refused is None
        if not self.texts.get("question"):
            raise Problem("bad_request", "Add a text part named question.", field="/question")
        check_count(self.count, self.settings)
        if self.refused is not None:
            raise self.refused
        params = self.params or AskParams()
        await self.look(params)
        return Incoming(self.texts["question"], params, tuple(self.items))

    def _check_head(self, name: str, is_file: bool) -> None:
        if name not in FORM_PARTS:
            detail = "The parts of the form are images, question and params; put others in params."
            shown = f"/{name}" if name.isascii() and name.isidentifier() else None
            raise Problem("bad_request", detail, field=shown)
        place = self.begun[name]
        self.begun[name] += 1
        if name == "images" and not is_file:
            detail = f"Picture {place + 1}: send it as a file part, with a file name."
            raise Problem("bad_request", detail, field=f"/images/{place}", image_index=place)
        if name != "images" and is_file:
            detail = f"The part {name} must be text, without a file name."
            raise Problem("bad_request", detail, field=f"/{name}")
        if name != "images" and place:
            raise Problem("bad_request", f"Send the part {name} once.", field=f"/{name}")

    async def _text(self, part: Part) -> None:
        self.texts[part.name] = part.text
        if part.name != "params":
            return
        limit = self.settings.max_params_bytes
        if part.size > limit:
            detail = f"The part params may have {limit} bytes."
            raise Problem("too_large", detail, field="/params", limit=limit)
        self.params = parse(AskParams, part.text) if part.text else AskParams()
        await self.look(self.params)

    async def _picture(self, part: Part) -> None:
        index, self.count = self.count, self.count + 1
        if self.refused is not None or self.count > self.settings.max_images:
            return
        try:
            raw = _raw(part, index, f"/images/{index}", self.settings)
            self.items.append(await self.keep(raw))
        except Problem as problem:
            self.refused = problem


def _raw(part: Part, index: int, place: str, settings: Settings) -> Raw:
    if part.size > settings.max_image_bytes:
        raise Raw(b"", index, place).too_large(part.size, settings.max_image_bytes)
    return Raw(part.data, index, place, part.hashing.hexdigest())


async def read_picture(request: Request, settings: Settings) -> Raw:
    """One picture: the part `image` of a form, or the body itself with a type of image/*."""
    kind = content_type(request)
    if kind == "multipart/form-data":
        return await _picture_form(request, settings)
    if kind.startswith("image/") or kind == "application/octet-stream":
        limit = min(settings.max_image_bytes, settings.max_body_bytes)
        return Raw(await whole_body(request, limit, "A picture"), 0, "")
    detail = "Send the picture's bytes as image/*, or multipart/form-data with a part image."
    raise Problem("unsupported_media_type", detail)


async def _picture_form(request: Request, settings: Settings) -> Raw:
    wrong = Problem("bad_request", "Send exactly one file part, named image.", field="/image")

    def check_head(name: str, is_file: bool) -> None:
        if name != "image" or not is_file:
            raise wrong

    limits = FormLimits(2, 1, settings.max_image_bytes, 0)
    reader = FormReader(request.headers["content-type"], limits, check_head)
    found = [part async for part in parts(request, reader)]
    if len(found) != 1:
        raise wrong
    return _raw(found[0], 0, "/image", settings)
