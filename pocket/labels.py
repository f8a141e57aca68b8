"""What each patch of a picture shows: the word targets of the vision stage and of the pointer loss.

Derived from the scene's boxes, never from pixels. Knows nothing of models.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocket.scene import Scene, shape_number
from pocket.sizes import PATCH, TILE
from pocket.tiles import SIDE, tiling
from pocket.words import COLORS

UNSURE = -1  # too little of an object to ask about
NONE = 18  # background: kinds are 0..17


@dataclass(frozen=True, slots=True)
class PatchLabels:
    """Per tile and patch: kind 0..18 or -1, colour 0..7 or -1, thing or -1, its centre."""

    kind: NDArray[np.int8]  # (tiles, PER_TILE)
    color: NDArray[np.int8]
    thing: NDArray[np.int8]
    center: NDArray[np.float16]  # (tiles, PER_TILE, 2), in tile sides


def _overlap(edges: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    """Length of [low, high] inside each patch starting at `edges`."""
    inside = np.minimum(edges + PATCH, high) - np.maximum(edges, low)
    clipped: NDArray[Any] = np.clip(inside, 0, None)
    return clipped


def label(scene: Scene) -> PatchLabels:
    """Labels of every patch of every tile of the scene's picture."""
    plan = tiling(scene.width, scene.height)
    frames = [(0.0, 0.0, float(TILE), float(TILE))]
    for row in range(plan.rows_of_tiles):
        for column in range(plan.columns_of_tiles):
            at_x, at_y = float(plan.left - column * TILE), float(plan.top - row * TILE)
            size = (float(plan.inner_width), float(plan.inner_height))
            frames.append((at_x, at_y, *size))
    shape = (len(frames), SIDE * SIDE)
    best = np.zeros(shape)
    kind = np.full(shape, NONE, np.int8)
    color = np.full(shape, UNSURE, np.int8)
    which = np.full(shape, -1, np.int8)
    center = np.zeros((*shape, 2), np.float16)
    edges = np.arange(SIDE) * float(PATCH)
    short = min(scene.width, scene.height)
    for number, thing in enumerate(scene.things):
        for tile, (left, top, wide, high) in enumerate(frames):
            x, y = left + thing.x * wide, top + thing.y * high
            half_w = thing.width * short * wide / scene.width * 0.46
            half_h = thing.width * short * high / scene.height * 0.46
            if thing.is_digit:
                half_w *= 0.66
            over_x = _overlap(edges, x - half_w, x + half_w)
            over_y = _overlap(edges, y - half_h, y + half_h)
            area = np.outer(over_y, over_x).ravel()
            seen = float(area.sum()) / (4 * half_w * half_h)
            share = area / min(4 * half_w * half_h, PATCH * PATCH)
            wins = area > best[tile]
            sure = wins & (share >= 0.22) & (seen >= 0.6)
            faint = wins & ~sure & (share > 0.03)
            kind[tile][faint], kind[tile][sure] = UNSURE, shape_number(thing.kind)
            color[tile][wins & (share >= 0.22)] = COLORS.index(thing.color)
            color[tile][faint & (share < 0.22)] = UNSURE
            which[tile][wins & (share >= 0.15)] = number
            center[tile][sure | faint] = (x / TILE, y / TILE)
            best[tile] = np.where(sure | faint, np.maximum(best[tile], area), best[tile])
    return PatchLabels(kind, color, which, center)
