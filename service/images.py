"""Checks pictures: first their headers, then that they decode to the end.

Bytes are never changed: the store keeps what was sent under its SHA-256, and the worker turns
palettes, alpha, depth and EXIF orientation into RGB. Nothing here knows HTTP or Redis.
"""

import binascii
import hashlib
import re
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import ExifTags, Image

from service.problems import Problem
from service.settings import Settings

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
DATA_URI = re.compile(r"data:[a-z0-9.+/-]*(;[a-z0-9=.+-]*)*;base64,", re.IGNORECASE)
BASE64_STEP = 1 << 18  # A multiple of 4; between steps other threads get the interpreter.
SMALL_PICTURES_BYTES = 16 * 1024
SMALL_PICTURES_PIXELS = 64 * 64  # Decoded in the tenth of a millisecond that a thread costs.
ORIENTATION = ExifTags.Base.Orientation
SIDEWAYS = (5, 6, 7, 8)
# What Pillow's plugins were seen to raise on hostile bytes.
UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    ArithmeticError,
    TypeError,
    AttributeError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Raw:
    """Bytes that claim to be picture `index`; `field` is where in the request they stood.

    `digest`: their SHA-256 in hex where it was computed while they came, never a client's word.
    """

    data: bytes
    index: int
    field: str
    digest: str = ""

    def refusal(
        self, detail: str, limit: float | None = None, actual: float | None = None
    ) -> Problem:
        """The problem of this picture."""
        detail = f"Picture {self.index + 1}: {detail}"
        return Problem("bad_image", detail, self.field or None, self.index, limit, actual)

    def too_large(self, size: int, limit: int) -> Problem:
        """The problem of a picture of too many bytes."""
        detail = f"it has {size} bytes; {limit} are allowed. Make it smaller."
        problem = self.refusal(detail, limit, size)
        problem.code = "too_large"
        return problem


@dataclass(frozen=True, slots=True)
class Picture:
    """One sound picture: SHA-256 of its bytes in hex, and the size it is shown in, in pixels."""

    digest: str
    width: int
    height: int
    media_type: str
    data: bytes


def from_base64(text: str, index: int, field: str) -> Raw:
    """The bytes of a base64 text or data URI; raises Problem where it is neither."""
    blank = Raw(b"", index, field)
    start = 0
    if text[:5].lower() == "data:":
        head = DATA_URI.match(text, 0, 256)
        if head is None:
            raise blank.refusal("a data URI must look like data:image/png;base64,<base64>.")
        start = head.end()
    try:
        return Raw(_decoded(text[start:]), index, field)
    except ValueError:  # also binascii.Error, and text that is not ASCII
        detail = "`data` is not base64; encode the bytes of the file, with padding."
        raise blank.refusal(detail) from None


def _decoded(text: str) -> bytes:
    if "\n" in text or "\r" in text:
        text = text.replace("\n", "").replace("\r", "")
    steps = range(0, len(text), BASE64_STEP)
    return b"".join(
        binascii.a2b_base64(text[at : at + BASE64_STEP], strict_mode=True) for at in steps
    )


def check(raws: Sequence[Raw], settings: Settings, pixels: int = 0) -> list[Picture]:
    """Look at every header first, then decode; raises the first picture's Problem.

    `pixels`: those of the ask's pictures that were checked before these. Memory: one decoded
    picture at a time, of at most `max_image_pixels`.
    """
    _check_headers(raws, settings, pixels)
    return [_decode(raw) for raw in raws]


def check_small(raws: Sequence[Raw], settings: Settings, pixels: int = 0) -> list[Picture] | None:
    """As `check`, where that is quicker than to hand it to a thread; else None."""
    if _check_headers(raws, settings, pixels) - pixels > SMALL_PICTURES_PIXELS:
        return None
    return [_decode(raw) for raw in raws]


def _check_headers(raws: Sequence[Raw], settings: Settings, pixels: int) -> int:
    """The pixels so far with those of these pictures, as their headers say."""
    for raw in raws:
        width, height = _header_size(raw, settings)
        pixels += width * height
        if pixels > settings.max_ask_pixels:
            raise raw.refusal(
                f"the pictures up to this one have {pixels} pixels; one ask may have "
                f"{settings.max_ask_pixels}. Send smaller or fewer pictures.",
                settings.max_ask_pixels,
                pixels,
            )
    return pixels


def _header_size(raw: Raw, settings: Settings) -> tuple[int, int]:
    _check_bytes(raw, settings)
    try:
        with Image.open(BytesIO(raw.data), formats=FORMATS) as image:
            width, height = image.size
    except Image.DecompressionBombError as bomb:
        found = re.search(r"\((\d+) pixels\)", str(bomb))
        _check_pixels(raw, int(found[1]) if found else 2**31, settings)
        raise raw.refusal("it has too many pixels; make it smaller.") from None
    except UNREADABLE:
        detail = "it is not a readable picture. Send a JPEG, PNG, WebP, GIF or BMP file."
        raise raw.refusal(detail) from None
    _check_pixels(raw, width * height, settings)
    _check_shape(raw, width, height, settings)
    return width, height


def _check_bytes(raw: Raw, settings: Settings) -> None:
    size = len(raw.data)
    if size == 0:
        raise raw.refusal("it is empty; send the bytes of a picture file.")
    if size > settings.max_image_bytes:
        raise raw.too_large(size, settings.max_image_bytes)


def _check_pixels(raw: Raw, pixels: int, settings: Settings) -> None:
    if pixels > settings.max_image_pixels:
        raise raw.refusal(
            f"its header says {pixels} pixels; {settings.max_image_pixels} are allowed. "
            "Make it smaller.",
            settings.max_image_pixels,
            pixels,
        )


def _check_shape(raw: Raw, width: int, height: int, settings: Settings) -> None:
    short, long = sorted((width, height))
    if short < settings.min_image_side_pixels:
        raise raw.refusal(
            f"it is {width} x {height} pixels; each side needs at least "
            f"{settings.min_image_side_pixels}. Send a larger picture.",
            settings.min_image_side_pixels,
            short,
        )
    if long > short * settings.max_image_aspect:
        raise raw.refusal(
            f"it is {width} x {height} pixels; the long side may be at most "
            f"{settings.max_image_aspect:g} times the short one. Crop or pad it.",
            settings.max_image_aspect,
            round(long / short, 1),
        )


def _decode(raw: Raw) -> Picture:
    try:
        with Image.open(BytesIO(raw.data), formats=FORMATS) as image:
            width, height = image.size
            media_type = image.get_format_mimetype() or "application/octet-stream"
            if _orientation(image) in SIDEWAYS:
                width, height = height, width
            # A JPEG is read to its end all the same, into a 64th of the memory.
            image.draft(None, (1, 1))
            image.load()
    except (*UNREADABLE, Image.DecompressionBombError):
        detail = "its data is damaged or cut off. Send the whole file."
        raise raw.refusal(detail) from None
    digest = raw.digest or hashlib.sha256(raw.data).hexdigest()
    return Picture(digest, width, height, media_type, raw.data)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except UNREADABLE:  # a broken EXIF block does not make the pixels worse
        return 1
