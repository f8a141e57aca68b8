"""Draws a picture as a pruned model was left to see it: kept patches sharp, the rest faded.

Takes a picture and a grid of numbers; knows no tensors, no policy and no request.
"""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFilter, ImageOps

# Longest side of what is drawn: enough to see 14-pixel patches, small enough to send.
LONG_SIDE = 768
OUTLINE_FROM = 0.5  # a patch is outlined where at least half of the layers kept it
EDGE = (255, 176, 32)
VEIL = 0.55  # how much of the brightness a wholly pruned patch loses

Grid = Sequence[Sequence[float]]


def draw_kept(picture: Image.Image, grid: Grid, long_side: int = LONG_SIDE) -> Image.Image:
    """The picture, RGB, with every patch as sharp and bright as it was kept.

    `grid[row][column]` is how often the patch was kept, 0 to 1, and covers the whole picture.
    Raises ValueError for an empty or ragged grid.
    """
    if not grid or not grid[0] or any(len(row) != len(grid[0]) for row in grid):
        raise ValueError("the grid must have rows of one length")
    scale = long_side / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    sharp = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)
    cell = max(size[0] / len(grid[0]), size[1] / len(grid))
    faded = ImageOps.grayscale(sharp).convert("RGB").filter(ImageFilter.GaussianBlur(cell / 2))
    faded = Image.blend(faded, Image.new("RGB", size), VEIL)
    drawn = Image.composite(sharp, faded, _mask(grid, size))
    _outline(drawn, grid)
    return drawn


def _mask(grid: Grid, size: tuple[int, int]) -> Image.Image:
    """Grey picture of the grid, one flat square per patch."""
    small = Image.new("L", (len(grid[0]), len(grid)))
    small.putdata([round(255 * min(1.0, max(0.0, cell))) for row in grid for cell in row])
    return small.resize(size, Image.Resampling.NEAREST)


def _outline(drawn: Image.Image, grid: Grid) -> None:
    """Lines where a mostly kept patch borders on one that is not."""
    brush = ImageDraw.Draw(drawn)
    rows, columns = len(grid), len(grid[0])
    across = [round(drawn.width * at / columns) for at in range(columns + 1)]
    down = [round(drawn.height * at / rows) for at in range(rows + 1)]

    def kept(row: int, column: int) -> bool:
        inside = 0 <= row < rows and 0 <= column < columns
        return inside and grid[row][column] >= OUTLINE_FROM

    for row in range(rows + 1):
        for column in range(columns + 1):
            if column < columns and kept(row, column) != kept(row - 1, column):
                brush.line((across[column], down[row], across[column + 1], down[row]), EDGE)
            if row < rows and kept(row, column) != kept(row, column - 1):
                brush.line((across[column], down[row], across[column], down[row + 1]), EDGE)
