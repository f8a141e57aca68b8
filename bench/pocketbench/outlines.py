"""Outlines of the eight shapes as polygons, and of the ten digits as pen strokes.

Unit coordinates, y down, the figure within [-1, 1]. Knows no colours and no pixels.
"""

import math

Point = tuple[float, float]
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "diamond", "heart")

# Pen strokes in a box of 2 by 3 (x 0..2, y 0..3), as one writes with a marker.
_PEN: dict[str, tuple[tuple[Point, ...], ...]] = {
    "0": (((1, 0), (0.2, 0.7), (0.2, 2.3), (1, 3), (1.8, 2.3), (1.8, 0.7), (1, 0)),),
    "1": (((0.4, 0.7), (1.1, 0), (1.1, 3)), ((0.4, 3), (1.8, 3))),
    "2": (((0.2, 0.7), (0.7, 0), (1.5, 0), (1.8, 0.8), (0.2, 3), (1.9, 3)),),
    "3": (((0.2, 0.2), (1.4, 0), (1.8, 0.8), (0.9, 1.4), (1.8, 2.1), (1.4, 3), (0.2, 2.8)),),
    "4": (((1.3, 3), (1.3, 0), (0.1, 2.0), (1.9, 2.0)),),
    "5": (((1.7, 0), (0.4, 0), (0.3, 1.3), (1.3, 1.2), (1.8, 2.0), (1.3, 3), (0.2, 2.8)),),
    "6": (((1.6, 0.1), (0.6, 0.9), (0.2, 2.2), (0.9, 3), (1.7, 2.3), (1.1, 1.5), (0.3, 2.0)),),
    "7": (((0.1, 0), (1.8, 0), (0.8, 3)),),
    "8": (
        ((1, 1.4), (0.3, 0.7), (1, 0), (1.7, 0.7), (1, 1.4)),
        ((1, 1.4), (0.2, 2.2), (1, 3), (1.8, 2.2), (1, 1.4)),
    ),
    "9": (((1.7, 1.0), (0.9, 1.5), (0.3, 0.7), (1.1, 0), (1.8, 0.8), (1.4, 2.2), (0.4, 3)),),
}


def pen_strokes(digit: str) -> list[list[Point]]:
    """Polylines of one digit, centred, its height from -1 to 1."""
    return [[((x - 1) / 1.5, (y - 1.5) / 1.5) for x, y in stroke] for stroke in _PEN[digit]]


def polygon(shape: str) -> list[Point]:
    """Corner points of a shape; a ring's is its outer circle."""
    if shape not in _CORNERS:
        raise ValueError(f"no such shape: {shape}")
    return list(_CORNERS[shape])


def _turns(count: int) -> list[float]:
    return [2 * math.pi * k / count for k in range(count)]


def _turned(point: Point, quarters: int) -> Point:
    x, y = point
    for _ in range(quarters):
        x, y = -y, x
    return x, y


def _cross(arm: float = 0.33) -> list[Point]:
    quarter = [(arm, -1.0), (arm, -arm), (1.0, -arm)]
    return [_turned(point, k) for k in range(4) for point in quarter]


def _star(inner: float = 0.42) -> list[Point]:
    spokes = [1.0 if k % 2 == 0 else inner for k in range(10)]
    return [(r * math.sin(a), -r * math.cos(a)) for r, a in zip(spokes, _turns(10), strict=True)]


def _heart(angle: float) -> Point:
    fall = 13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle)
    return math.sin(angle) ** 3, -(fall + 2.5) / 14.5


_ROUND = [(math.cos(a), math.sin(a)) for a in _turns(48)]
_CORNERS: dict[str, list[Point]] = {
    "circle": _ROUND,
    "ring": _ROUND,
    "square": [(-0.82, -0.82), (0.82, -0.82), (0.82, 0.82), (-0.82, 0.82)],
    "triangle": [(0, -0.95), (0.95, 0.8), (-0.95, 0.8)],
    "star": _star(),
    "cross": _cross(),
    "diamond": [(0, -1), (0.68, 0), (0, 1), (-0.68, 0)],
    "heart": [_heart(a) for a in _turns(48)],
}
