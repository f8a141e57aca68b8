"""File bytes to an RGB picture: what is shown is what a viewer would show.

Palettes, alpha (over white), 16 bits, CMYK and EXIF turns are handled; of an animation the first
frame counts. Size is judged from the header, before any pixel is decoded. Nothing here knows
models or requests.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from myopia.errors import BadImage
from myopia.params import Picture

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
# Above 16:1 a tile grid is mostly padding, and beyond some 48:1 LLaVA-NeXT's grid is empty.
MOST_ELONGATED = 16


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """What a picture may be: pixels in all, pixels of its shorter edge."""

    most_pixels: int = 40_000_000
    least_edge: int = 8


def read_picture(data: bytes, *, index: int = 0, limits: PictureLimits | None = None) -> Picture:
    """Decode one picture; `index` is its place in the ask, named in every BadImage."""
    limits = limits or PictureLimits()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as file:
                _judge(file, index, limits)
                file.seek(0)
                file.load()
                picture = _to_rgb(ImageOps.exif_transpose(file))
    except UnidentifiedImageError as error:
        raise BadImage(
            f"picture {index + 1} is not a JPEG, PNG, WebP, GIF or BMP file; send one of these",
            image_index=index,
        ) from error
    except Image.DecompressionBombError as error:
        raise BadImage(
            f"picture {index + 1} has too many pixels; at most {limits.most_pixels} are allowed",
            image_index=index,
            limit=limits.most_pixels,
        ) from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
        if isinstance(error, BadImage):
            raise
        raise BadImage(
            f"picture {index + 1} is damaged or cut short; send the whole file", image_index=index
        ) from error
    return Picture(picture, hashlib.sha256(data).hexdigest())


def _judge(file: Image.Image, index: int, limits: PictureLimits) -> None:
    """Refuse by the header alone."""
    width, height = file.size
    if width * height > limits.most_pixels:
        raise BadImage(
            f"picture {index + 1} has {width}x{height} pixels; at most {limits.most_pixels} "
            "are allowed, scale it down",
            image_index=index,
            limit=limits.most_pixels,
            actual=width * height,
        )
    if min(width, height) < limits.least_edge:
        raise BadImage(
            f"picture {index + 1} is {width}x{height}; its shorter edge needs at least "
            f"{limits.least_edge} pixels",
            image_index=index,
            limit=limits.least_edge,
            actual=min(width, height),
        )
    if max(width, height) > MOST_ELONGATED * min(width, height):
        raise BadImage(
            f"picture {index + 1} is {width}x{height}; its longer edge may be at most "
            f"{MOST_ELONGATED} times its shorter one, crop it",
            image_index=index,
            limit=MOST_ELONGATED,
            actual=max(width, height) / min(width, height),
        )


def _to_rgb(picture: Image.Image) -> Image.Image:
    """The picture in RGB; transparency lies over white, 16 bits are scaled to 8."""
    if picture.mode.startswith(("I;16", "I", "F")):
        return _from_deep(picture)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        layer = picture.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return picture.convert("RGB")


def _from_deep(picture: Image.Image) -> Image.Image:
    """16-bit grey by its upper byte; other deep modes by their own full range."""
    values = np.asarray(picture, dtype=np.float64)
    top = 65535.0 if picture.mode.startswith("I") else float(values.max() or 1.0)
    grey = np.clip(values / top * 255.0, 0, 255).round().astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
