"""Outlines of the eight shapes as polygons.

Unit coordinates, y down, the figure within [-1, 1]. Knows no colours and no pixels.
"""

import math

Point = tuple[float, float]
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring", "diamond", "heart")


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
