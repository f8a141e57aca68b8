"""What stands where in one picture: things, background, size; sampled at random, drawn elsewhere.

A scene is a plain value: two equal scenes draw equal pictures.
"""

import math
from dataclasses import dataclass

import numpy as np

from pocket.backgrounds import Background, sample_background
from pocket.colors import Rgb, distance, sample_shade
from pocket.glyphs import faces
from pocket.words import SHAPES

Kind = str  # a shape, or a digit "0".."9"


@dataclass(frozen=True, slots=True)
class Thing:
    """One object; lengths are fractions of the shorter side, x and y of width and height."""

    kind: Kind
    color: str
    rgb: Rgb
    x: float
    y: float
    width: float
    angle: float
    stretch: float
    trim: float
    face: int

    @property
    def is_digit(self) -> bool:
        """Whether it is a digit, not a shape."""
        return self.kind.isdigit()


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything about one picture."""

    width: int
    height: int
    background: Background
    things: tuple[Thing, ...]
    smooth: bool
    jpeg: int  # quality, 0 = none


SIDES = ((48, 96), (96, 200), (200, 300), (300, 520))
SIDE_SHARES = (0.12, 0.55, 0.28, 0.05)


def sample_size(rng: np.random.Generator) -> tuple[int, int]:
    """(width, height) in pixels: mostly small for speed; larger ones look the same once resized."""
    low, high = SIDES[int(rng.choice(4, p=SIDE_SHARES))]
    short = int(rng.integers(low, high))
    if rng.random() < 0.5:
        return short, short
    long = int(short * min(2.6, 1 + rng.exponential(0.45)))
    return (long, short) if rng.random() < 0.55 else (short, long)


def _sample_width(kind: Kind, rng: np.random.Generator) -> float:
    small, large = rng.uniform(0.1, 0.2), rng.uniform(0.18, 0.4)
    width = small if rng.random() < 0.4 else large
    return float(width * 1.25 if kind.isdigit() else width)


def sample_thing(kind: Kind, color: str, rng: np.random.Generator) -> Thing:
    """A thing of that kind and colour somewhere, of some size."""
    turn = 0.0 if rng.random() < 0.35 else rng.normal(0, 8)
    if kind in ("circle", "ring") or (kind == "star" and rng.random() < 0.4):
        turn = rng.uniform(-180, 180)
    elif kind == "cross" and rng.random() < 0.25:
        turn = 45 + rng.normal(0, 5)
    elif kind == "triangle" and rng.random() < 0.1:
        turn = 180 + rng.normal(0, 8)
    plain = rng.random() < 0.5
    return Thing(
        kind=kind,
        color=color,
        rgb=sample_shade(color, rng),
        x=0.0,
        y=0.0,
        width=_sample_width(kind, rng),
        angle=math.radians(turn),
        stretch=1.0 if plain else float(rng.uniform(0.87, 1.15)),
        trim=0.5 if kind == "triangle" and plain else float(rng.random()),
        face=int(rng.integers(faces())),
    )


def _moved(thing: Thing, x: float, y: float, width: float) -> Thing:
    return Thing(
        thing.kind, thing.color, thing.rgb, x, y, width,
        thing.angle, thing.stretch, thing.trim, thing.face,
    )  # fmt: skip


def at(thing: Thing, x: float, y: float) -> Thing:
    """The same thing with its centre elsewhere."""
    return _moved(thing, x, y, thing.width)


def spread(
    things: list[Thing], width: int, height: int, rng: np.random.Generator
) -> tuple[Thing, ...]:
    """Give every thing a free place inside the picture, shrinking those that do not fit."""
    short = min(width, height)
    placed: list[tuple[float, float, float]] = []
    result: list[Thing] = []
    for thing in things:
        size = thing.width
        for _ in range(60):
            half = size * short * 0.53
            x = rng.uniform(half, max(half + 1e-3, width - half))
            y = rng.uniform(half, max(half + 1e-3, height - half))
            if all(max(abs(x - a), abs(y - b)) > half + c for a, b, c in placed):
                break
            size = max(0.1, size * 0.96)
        placed.append((x, y, half))
        result.append(_moved(thing, x / width, y / height, size))
    return tuple(result)


def background_for(things: tuple[Thing, ...], rng: np.random.Generator) -> Background:
    """A background on which every thing can be seen."""
    best, best_gap = sample_background(rng), -1.0
    for _ in range(12):
        candidate = sample_background(rng)
        gap = min(
            (
                distance(t.rgb, shade)
                for t in things
                for shade in (candidate.first, candidate.second)
            ),
            default=441.0,
        )
        if gap > best_gap:
            best, best_gap = candidate, gap
        if gap > 80:
            break
    return best


def sample_scene(
    contents: list[tuple[Kind, str]], rng: np.random.Generator, largest: float = 1.0
) -> Scene:
    """A picture showing exactly these (kind, colour) pairs, none wider than `largest`."""
    width, height = sample_size(rng)
    wanted = [sample_thing(k, c, rng) for k, c in contents]
    wanted = [_moved(t, 0, 0, min(t.width, largest)) for t in wanted]
    things = spread(wanted, width, height, rng)
    return Scene(
        width=width,
        height=height,
        background=background_for(things, rng),
        things=things,
        smooth=bool(rng.random() < 0.8),
        jpeg=int(rng.integers(35, 95)) if rng.random() < 0.12 else 0,
    )


def shape_number(kind: Kind) -> int:
    """Index of the kind in shapes then digits, 0..17."""
    return len(SHAPES) + int(kind) if kind.isdigit() else SHAPES.index(kind)
