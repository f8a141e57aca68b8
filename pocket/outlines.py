"""Outlines of the eight shapes and of digits as masks, turned and stretched, anti-aliased or not.

Knows nothing of colours, places or pictures.
"""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from pocket.glyphs import glyph

Points = list[tuple[float, float]]


def _regular(corners: int, start: float, radius: float = 1.0) -> Points:
    turn = 2 * math.pi / corners
    return [
        (radius * math.cos(start + i * turn), radius * math.sin(start + i * turn))
        for i in range(corners)
    ]


def _star(trim: float) -> Points:
    points = 5 if trim < 0.9 else 6
    inner = 0.38 + 0.14 * trim
    outer_ring = _regular(points, -math.pi / 2)
    inner_ring = _regular(points, -math.pi / 2 + math.pi / points, inner)
    return [p for pair in zip(outer_ring, inner_ring, strict=True) for p in pair]


def _cross(trim: float) -> Points:
    a = 0.2 + 0.2 * trim
    return [
        (-a, -1), (a, -1), (a, -a), (1, -a), (1, a), (a, a),
        (a, 1), (-a, 1), (-a, a), (-1, a), (-1, -a), (-a, -a),
    ]  # fmt: skip


def _heart(trim: float) -> Points:
    turns = [2 * math.pi * i / 40 for i in range(40)]
    drop = 1.0 + 0.2 * trim
    return [
        (
            math.sin(t) ** 3,
            -drop
            * (13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t))
            / 16.5,
        )
        for t in turns
    ]


def _triangle(trim: float) -> Points:
    lean = 0.3 * (trim - 0.5)
    return [(lean, -0.95), (1.0, 0.8), (-1.0, 0.8)]


def _diamond(trim: float) -> Points:
    narrow = 0.62 + 0.38 * trim
    return [(0, -1), (narrow, 0), (0, 1), (-narrow, 0)]


OUTLINES: dict[str, Callable[[float], Points]] = {
    "circle": lambda trim: _regular(48, 0.0),
    "ring": lambda trim: _regular(48, 0.0),
    "square": lambda trim: [(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    "triangle": _triangle,
    "star": _star,
    "cross": _cross,
    "diamond": _diamond,
    "heart": _heart,
}


def _place(points: Points, half: float, angle: float, stretch: float) -> Points:
    """Scale to `half` pixels, stretch the width, turn, and move the centre to (half', half')."""
    c, s = math.cos(angle), math.sin(angle)
    wide = half * min(1.0, stretch)
    high = half * min(1.0, 1.0 / stretch)
    return [
        (half + x * wide * c - y * high * s, half + x * wide * s + y * high * c) for x, y in points
    ]


def shape_mask(
    kind: str, width: float, angle: float, stretch: float, trim: float, smooth: bool
) -> Image.Image:
    """Mask (mode L) of a shape `width` pixels wide; `angle` in radians, `trim` varies it."""
    fine = 4 if smooth else 1
    side = max(4, round(width))
    half = side * fine / 2
    mask = Image.new("L", (side * fine, side * fine))
    pen = ImageDraw.Draw(mask)
    points = OUTLINES[kind](trim)
    pen.polygon(_place(points, half, angle, stretch), fill=255)
    if kind == "ring":
        hole = 0.45 + 0.3 * trim
        inner = [(x * hole, y * hole) for x, y in points]
        pen.polygon(_place(inner, half, angle, stretch), fill=0)
    if fine > 1:
        mask = mask.resize((side, side), Image.Resampling.BOX)
    return mask


def digit_mask(digit: int, face: int, width: float, angle: float, smooth: bool) -> Image.Image:
    """Mask (mode L) of a digit about `width` pixels high."""
    side = max(6, round(width))
    mask = glyph(digit, face)
    if angle:
        mask = mask.rotate(math.degrees(angle), Image.Resampling.BILINEAR)
    mask = mask.resize(
        (side, side), Image.Resampling.BOX if side < 64 else Image.Resampling.BILINEAR
    )
    if not smooth:
        mask = Image.fromarray(((np.asarray(mask) > 110) * np.uint8(255)).astype(np.uint8))
    return mask
