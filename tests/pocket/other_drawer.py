"""A second drawer, for an honest number: shares no code, font or background with pocket's.

Shapes come from implicit functions, digits from a bitmap face and from Pillow's built-in one.
Never used for training.
"""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Grid = NDArray[np.float64]

PAINT = {
    "red": [(214, 39, 40), (255, 10, 10), (190, 15, 25)],
    "green": [(44, 160, 44), (10, 190, 60), (0, 140, 20)],
    "blue": [(31, 60, 200), (10, 10, 250), (50, 80, 230)],
    "yellow": [(255, 235, 10), (245, 225, 60), (250, 210, 0)],
    "purple": [(140, 40, 170), (120, 0, 140), (150, 60, 210)],
    "cyan": [(20, 210, 225), (0, 240, 240), (60, 215, 230)],
    "white": [(255, 255, 255), (245, 245, 250)],
    "black": [(5, 5, 5), (25, 22, 28)],
}

BITS = {
    "0": "01110 10001 10011 10101 11001 10001 01110",
    "1": "00100 01100 00100 00100 00100 00100 01110",
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "01110 10001 00001 00110 00001 10001 01110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
}


@dataclass(frozen=True)
class Item:
    """One drawn object: centre as fractions of width and height, size of the shorter side."""

    kind: str
    color: str
    x: float
    y: float
    size: float


@dataclass(frozen=True)
class Drawn:
    """A picture and the truth about it."""

    picture: Image.Image
    items: tuple[Item, ...]


def inside(kind: str, u: Grid, v: Grid) -> NDArray[np.bool_]:  # noqa: PLR0911 - a table
    """Whether points of the square [-1, 1]^2 (v downwards) belong to the shape."""
    r = np.hypot(u, v)
    if kind == "circle":
        return r < 0.97
    if kind == "ring":
        return (r < 0.97) & (r > 0.6)
    if kind == "square":
        return np.maximum(abs(u), abs(v)) < 0.88
    if kind == "diamond":
        return abs(u) * 1.2 + abs(v) < 0.97
    if kind == "triangle":
        return (v < 0.8) & (v > -0.9) & (abs(u) < (v + 0.9) * 0.56)
    if kind == "cross":
        arm = (abs(u) < 0.3) | (abs(v) < 0.3)
        return arm & (np.maximum(abs(u), abs(v)) < 0.95)
    if kind == "heart":
        a, b = u * 1.15, -v * 1.15 + 0.1
        return (a * a + b * b - 0.9) ** 3 - a * a * b**3 * 1.6 < 0
    t = np.mod(np.arctan2(u, -v), 2 * np.pi / 5)  # star
    t = np.minimum(t, 2 * np.pi / 5 - t)
    qx, qy = 0.42 * np.cos(np.pi / 5), 0.42 * np.sin(np.pi / 5)
    return (qx - 1) * r * np.sin(t) - qy * (r * np.cos(t) - 1) > 0


def stamp(kind: str, pixels: int, turn: float, fine: int) -> Image.Image:
    """Mask of a shape."""
    n = pixels * fine
    axis = (np.arange(n) + 0.5) / n * 2 - 1
    u, v = np.meshgrid(axis, axis)
    c, s = np.cos(turn), np.sin(turn)
    mask = inside(kind, u * c + v * s, -u * s + v * c)
    full = Image.fromarray((mask * 255).astype(np.uint8))
    return full.resize((pixels, pixels), Image.Resampling.LANCZOS) if fine > 1 else full


def numeral(digit: str, pixels: int, turn: float, bitmap: bool) -> Image.Image:
    """Mask of a digit `pixels` high."""
    if bitmap:
        rows = [[int(b) * 255 for b in row] for row in BITS[digit].split()]
        small = Image.fromarray(np.array(rows, np.uint8))
        mask = small.resize((max(5, pixels * 5 // 7), pixels), Image.Resampling.NEAREST)
    else:
        font = ImageFont.load_default(size=pixels * 1.35)
        canvas = Image.new("L", (pixels * 3, pixels * 3))
        ImageDraw.Draw(canvas).text((pixels, pixels // 2), digit, fill=255, font=font)
        mask = canvas.crop(canvas.getbbox())
    return mask.rotate(np.degrees(turn), Image.Resampling.BICUBIC, expand=True)


def scenery(rng: np.random.Generator, wide: int, high: int) -> Image.Image:
    """Flat, two-colour ramp, bands, or cloud-like noise of several octaves."""
    light = rng.choice([rng.integers(165, 240), rng.integers(60, 130), 255], p=[0.55, 0.3, 0.15])
    base = np.clip(light + rng.integers(-14, 15, 3), 0, 255).astype(float)
    style = rng.integers(4)
    canvas = np.ones((high, wide, 1)) * base
    if style == 1:
        ramp = np.linspace(-1, 1, wide)[None, :, None] + np.linspace(-1, 1, high)[:, None, None]
        canvas = canvas + ramp * rng.uniform(5, 22)
    elif style == 2:
        band = (np.arange(high) // max(4, high // rng.integers(4, 12))) % 2
        canvas = canvas + band[:, None, None] * rng.uniform(-25, 25)
    elif style == 3:
        for octave in (3, 6, 12, 40):
            grain = Image.fromarray(rng.integers(0, 255, (octave, octave), dtype=np.uint8))
            soft = np.asarray(grain.resize((wide, high), Image.Resampling.BILINEAR), float)
            canvas = canvas + (soft[..., None] - 127) * 0.18 / octave**0.3
        canvas = canvas + rng.normal(0, 5, (high, wide, 1))
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def _free(rng: np.random.Generator, taken: list[tuple[float, float, float]], size: float,
          wide: int, high: int) -> tuple[float, float] | None:  # fmt: skip
    for _ in range(200):
        margin = size * 0.62
        x, y = rng.uniform(margin, wide - margin), rng.uniform(margin, high - margin)
        if all(np.hypot(x - a, y - b) > (size + s) * 0.72 for a, b, s in taken):
            return x, y
    return None


def draw_other(
    wanted: list[tuple[str, str]],
    rng: np.random.Generator,
    fixed: list[Item] | None = None,
    backdrop: Image.Image | None = None,
) -> Drawn:
    """A picture of these (kind, colour) pairs; or exactly the `fixed` items on a given backdrop."""
    while True:
        if backdrop is None:
            short = int(rng.choice([rng.integers(110, 260), rng.integers(260, 640)]))
            long = int(short * rng.choice([1.0, 1.33, 1.5, 1.78, 2.0], p=[0.4, 0.2, 0.2, 0.1, 0.1]))
            wide, high = (long, short) if rng.random() < 0.6 else (short, long)
            canvas = scenery(rng, wide, high)
        else:
            canvas, (wide, high) = backdrop.copy(), backdrop.size
        result = _paint(canvas, wanted, rng, fixed)
        if result is not None:
            return result


def _paint(canvas: Image.Image, wanted: list[tuple[str, str]], rng: np.random.Generator,
           fixed: list[Item] | None) -> Drawn | None:  # fmt: skip
    wide, high = canvas.size
    short = min(wide, high)
    items: list[Item] = list(fixed or [])
    taken: list[tuple[float, float, float]] = []
    if fixed is None:
        for kind, color in wanted:
            size = rng.uniform(0.12, 0.34) * (1.2 if kind.isdigit() else 1.0)
            place = _free(rng, taken, size * short, wide, high)
            if place is None:
                return None
            taken.append((*place, size * short))
            items.append(Item(kind, color, place[0] / wide, place[1] / high, size))
    around = np.asarray(canvas.resize((8, 8)), float).reshape(-1, 3)
    fine, bitmap = int(rng.choice([1, 3])), bool(rng.random() < 0.3)
    for item in items:
        shade = np.array(PAINT[item.color][int(rng.integers(len(PAINT[item.color])))])
        ink = np.clip(shade + rng.integers(-10, 11, 3), 0, 255)
        if np.abs(around - ink).sum(1).min() < 110:
            return None
        pixels, turn = max(6, round(item.size * short)), rng.uniform(-0.2, 0.2)
        if item.kind.isdigit():
            mask = numeral(item.kind, pixels, turn / 2, bitmap)
        else:
            mask = stamp(item.kind, pixels, turn, fine)
        at = (round(item.x * wide - mask.width / 2), round(item.y * high - mask.height / 2))
        canvas.paste(tuple(int(c) for c in ink), at, mask)
    if rng.random() < 0.35:
        stream = io.BytesIO()
        canvas.save(stream, "JPEG", quality=int(rng.integers(50, 90)))
        canvas = Image.open(stream).convert("RGB")
    if rng.random() < 0.1:
        canvas = canvas.filter(ImageFilter.GaussianBlur(short / 250))
    return Drawn(canvas, tuple(items))
