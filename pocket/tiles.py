"""The fast way from a picture to the tiles that `LlavaNextProcessor` makes of it, to the pixel.

Knows the geometry of tiles and patches; nothing of models, tokens or labels.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from transformers.image_processing_utils import select_best_resolution

from pocket.sizes import PATCH, PINPOINTS, TILE

SIDE = TILE // PATCH  # patches along one tile
PER_TILE = SIDE * SIDE


@dataclass(frozen=True, slots=True)
class Tiling:
    """How a picture of one size is cut: lengths in pixels, but rows and columns count patches."""

    rows_of_tiles: int
    columns_of_tiles: int
    inner_width: int  # of the resized picture inside the tile grid
    inner_height: int
    left: int  # where it starts
    top: int
    first_row: int  # of the patch grid, after unpadding
    rows: int
    first_column: int
    columns: int

    @property
    def tiles(self) -> int:
        """Tiles in all, the base tile included."""
        return 1 + self.rows_of_tiles * self.columns_of_tiles

    @property
    def tokens(self) -> int:
        """Image tokens the language model sees, newlines included."""
        return PER_TILE + self.rows * (self.columns + 1)


@lru_cache(maxsize=4096)
def tiling(width: int, height: int) -> Tiling:
    """The tiling of a picture of that size."""
    high, wide = select_best_resolution((height, width), PINPOINTS)
    scale_w, scale_h = wide / width, high / height
    if scale_w < scale_h:
        inner_width, inner_height = wide, min(-int(-(height * scale_w) // 1), high)
    else:
        inner_width, inner_height = min(-int(-(width * scale_h) // 1), wide), high
    rows, columns = high // PATCH, wide // PATCH
    skip_rows = skip_columns = 0
    if width / height > columns / rows:
        skip_rows = (rows - int(round(height * (columns / width), 7))) // 2
    else:
        skip_columns = (columns - int(round(width * (rows / height), 7))) // 2
    return Tiling(
        rows_of_tiles=high // TILE,
        columns_of_tiles=wide // TILE,
        inner_width=inner_width,
        inner_height=inner_height,
        left=(wide - inner_width) // 2,
        top=(high - inner_height) // 2,
        first_row=skip_rows,
        rows=rows - 2 * skip_rows,
        first_column=skip_columns,
        columns=columns - 2 * skip_columns,
    )


def cut(picture: Image.Image) -> NDArray[np.uint8]:
    """Base tile, then grid tiles row by row: (tiles, TILE, TILE, 3)."""
    plan = tiling(*picture.size)
    base = np.asarray(picture.resize((TILE, TILE), Image.Resampling.BICUBIC))
    inner = picture.resize((plan.inner_width, plan.inner_height), Image.Resampling.BICUBIC)
    high, wide = plan.rows_of_tiles * TILE, plan.columns_of_tiles * TILE
    grid = np.zeros((high, wide, 3), np.uint8)
    grid[plan.top : plan.top + plan.inner_height, plan.left : plan.left + plan.inner_width] = (
        np.asarray(inner)
    )
    grid = grid.reshape(plan.rows_of_tiles, TILE, plan.columns_of_tiles, TILE, 3)
    return np.concatenate([base[None], grid.swapaxes(1, 2).reshape(-1, TILE, TILE, 3)])


@lru_cache(maxsize=4096)
def packing(width: int, height: int) -> NDArray[np.int64]:
    """For each image token, the index of its patch among all tiles' patches; -1 for a newline."""
    plan = tiling(width, height)
    order = list(range(PER_TILE))
    for row in range(plan.first_row, plan.first_row + plan.rows):
        for column in range(plan.first_column, plan.first_column + plan.columns):
            tile = 1 + (row // SIDE) * plan.columns_of_tiles + column // SIDE
            order.append(tile * PER_TILE + (row % SIDE) * SIDE + column % SIDE)
        order.append(-1)
    return np.array(order, np.int64)


def center_token(width: int, height: int, x: float, y: float) -> int:
    """Index, among a picture's image tokens, of the grid patch that holds the point (x, y)."""
    plan = tiling(width, height)
    column = int(plan.left + x * plan.inner_width) // PATCH - plan.first_column
    row = int(plan.top + y * plan.inner_height) // PATCH - plan.first_row
    column = min(max(column, 0), plan.columns - 1)
    row = min(max(row, 0), plan.rows - 1)
    return PER_TILE + row * (plan.columns + 1) + column
