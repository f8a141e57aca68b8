"""Draws pictures side by side as the pruned model was left to see them.

Takes bytes and the grids of an answer's `explain`; what was pruned is grey and dim, what was kept
in full colour. Nothing here knows asks, stores or HTTP.
"""

from collections.abc import Sequence
from io import BytesIO

from PIL import Image, ImageOps

HEIGHT = 320  # of the strip in pixels
MOST_WIDTH = 640  # of one picture in it
GAP = 8
DIM = 0.3

Grid = Sequence[Sequence[float]]


def draw_strip(pictures: Sequence[tuple[bytes, Grid]]) -> bytes:
    """A PNG of all pictures in order; `grid[row][column]` is how far a part was kept, 0 to 1."""
    drawn = [_draw(data, grid) for data, grid in pictures]
    width = sum(one.width for one in drawn) + GAP * (len(drawn) - 1)
    strip = Image.new("RGB", (width, HEIGHT), "white")
    left = 0
    for one in drawn:
        strip.paste(one, (left, (HEIGHT - one.height) // 2))
        left += one.width + GAP
    buffer = BytesIO()
    strip.save(buffer, "PNG")
    return buffer.getvalue()


def _draw(data: bytes, grid: Grid) -> Image.Image:
    with Image.open(BytesIO(data)) as file:
        file.draft("RGB", (MOST_WIDTH, HEIGHT))
        upright = ImageOps.exif_transpose(file).convert("RGB")
    shown = ImageOps.contain(upright, (MOST_WIDTH, HEIGHT))
    grey = ImageOps.grayscale(shown).convert("RGB")
    dim = Image.blend(Image.new("RGB", shown.size, "white"), grey, DIM)
    mask = Image.new("L", (len(grid[0]), len(grid)))
    mask.putdata([round(255 * min(1.0, max(0.0, part))) for row in grid for part in row])
    return Image.composite(shown, dim, mask.resize(shown.size, Image.Resampling.NEAREST))
