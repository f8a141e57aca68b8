"""Draws one picture: figures with a rim and a cast shadow on paper, dotted, ruled or tiled ground.

A style of its own: four times oversampled, digits in Pillow's own face, made bold. Same view, same
pixels. Knows no questions.
"""

import math
import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter, ImageFont

from bench.pocketbench.outlines import Point, polygon

Rgb = tuple[int, int, int]
PAINTS: dict[str, Rgb] = {
    "red": (214, 40, 47),
    "green": (36, 150, 62),
    "blue": (38, 84, 214),
    "yellow": (247, 218, 42),
    "purple": (138, 48, 168),
    "cyan": (32, 205, 216),
    "white": (250, 250, 250),
    "black": (18, 18, 18),
}
COLOURS = tuple(PAINTS)
GROUNDS = ("paper", "dots", "ruled", "tiles")
OVERSAMPLE = 4


@dataclass(frozen=True, slots=True)
class Figure:
    """A shape or a digit; x, y and size are fractions of the sides (size: the shorter)."""

    kind: str
    colour: str
    x: float
    y: float
    size: float = 0.3
    tilt: float = 0.0


@dataclass(frozen=True, slots=True)
class View:
    """What one picture shows."""

    figures: tuple[Figure, ...]
    width: int = 128
    height: int = 128
    ground: str = "paper"
    seed: int = 0


def draw(view: View) -> Image.Image:
    """The picture, RGB."""
    generator = random.Random(view.seed)
    size = (view.width * OVERSAMPLE, view.height * OVERSAMPLE)
    canvas = _ground(view, size, generator)
    for figure in view.figures:
        _shadow(canvas, figure)
        _figure(canvas, figure)
    return canvas.resize((view.width, view.height), Image.Resampling.BOX)


def _tone(view: View, generator: random.Random) -> Rgb:
    """A muted mid-grey tone that no figure's paint comes near: white and black must show on it."""
    base = generator.randint(120, 185)
    red, green, blue = (base + generator.randint(-14, 14) for _ in range(3))
    return red, green, blue


def _ground(view: View, size: tuple[int, int], generator: random.Random) -> Image.Image:
    tone = _tone(view, generator)
    mark = tuple(channel - 16 for channel in tone)
    canvas = Image.new("RGB", size, tone)
    pen = ImageDraw.Draw(canvas)
    step = min(size) // generator.randint(6, 11)
    match view.ground:
        case "dots":
            for x in range(step // 2, size[0], step):
                for y in range(step // 2, size[1], step):
                    pen.circle((x, y), step * 0.16, fill=mark)
        case "ruled":
            for y in range(step, size[1], step):
                pen.line([(0, y), (size[0], y)], fill=mark, width=OVERSAMPLE)
        case "tiles":
            for row, y in enumerate(range(0, size[1], step * 2)):
                for x in range((row % 2) * step * 2, size[0], step * 4):
                    pen.rectangle([x, y, x + step * 2, y + step * 2], fill=mark)
        case "paper":
            for _ in range(160):
                x, y = generator.randrange(size[0]), generator.randrange(size[1])
                pen.line([(x, y), (x + step, y + generator.randint(-9, 9))], fill=mark, width=2)
        case _:
            raise ValueError(f"no such ground: {view.ground}")
    return canvas


def _placed(
    points: list[Point], figure: Figure, size: tuple[int, int], shift: float
) -> list[Point]:
    """Unit points as pixels of the oversampled canvas."""
    radius = figure.size * min(size) / 2
    sine, cosine = math.sin(figure.tilt), math.cos(figure.tilt)
    return [
        (
            figure.x * size[0] + radius * (x * cosine - y * sine + shift),
            figure.y * size[1] + radius * (x * sine + y * cosine + shift),
        )
        for x, y in points
    ]


def _shadow(canvas: Image.Image, figure: Figure) -> None:
    mask = Image.new("L", canvas.size)
    _trace(ImageDraw.Draw(mask), figure, canvas.size, (70, 70), 0.1)
    canvas.paste((0, 0, 0), mask=mask.filter(ImageFilter.BoxBlur(OVERSAMPLE * 2)))


def _figure(canvas: Image.Image, figure: Figure) -> None:
    paint = PAINTS[figure.colour]
    light = sum(paint) > 240
    rim = tuple(int(channel * 0.72) if light else channel + 45 for channel in paint)
    _trace(ImageDraw.Draw(canvas), figure, canvas.size, (paint, rim), 0.0)


def _trace(
    pen: ImageDraw.ImageDraw,
    figure: Figure,
    size: tuple[int, int],
    inks: tuple[int | Rgb, int | tuple[int, ...]],
    shift: float,
) -> None:
    fill, rim = inks
    unit = figure.size * min(size) / 2
    if figure.kind.isdigit():
        face = ImageFont.load_default(unit * 2.3)
        (place,) = _placed([(0, 0)], figure, size, shift)
        bold = max(1, round(unit * 0.06))
        pen.text(place, figure.kind, fill, face, "mm", stroke_width=bold, stroke_fill=fill)
        return
    points = _placed(polygon(figure.kind), figure, size, shift)
    if figure.kind == "ring":
        x, y = _placed([(0, 0)], figure, size, shift)[0]
        pen.circle((x, y), unit, outline=fill, width=max(2, round(unit * 0.36)))
        return
    pen.polygon(points, fill=fill)
    pen.line([*points, points[0]], fill=rim, width=max(1, round(unit * 0.06)), joint="curve")
