"""Digits in many faces, kept as one small atlas picture so that drawing needs no font files.

`python -m pocket.glyphs face.ttf ...` rebuilds the atlas: one row of ten cells per face.
Knows nothing of scenes or colours.
"""

import sys
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CELL = 64
ATLAS = Path(__file__).resolve().parent / "glyphs.png"


@cache
def _atlas() -> Image.Image:
    with Image.open(ATLAS) as picture:
        return picture.convert("L")


def faces() -> int:
    """How many faces the atlas holds."""
    return _atlas().height // CELL


@cache
def glyph(digit: int, face: int) -> Image.Image:
    """Mask of one digit, mode L, `CELL` pixels a side, the ink touching two opposite borders."""
    left, top = digit * CELL, face * CELL
    return _atlas().crop((left, top, left + CELL, top + CELL))


def _draw_cell(face: ImageFont.FreeTypeFont, digit: int) -> Image.Image:
    canvas = Image.new("L", (512, 512))
    ImageDraw.Draw(canvas).text((120, 60), str(digit), fill=255, font=face)
    box = canvas.getbbox()
    assert box is not None, "a face without digits"
    ink = canvas.crop(box)
    scale = CELL / max(ink.size)
    size = (max(1, round(ink.width * scale)), max(1, round(ink.height * scale)))
    cell = Image.new("L", (CELL, CELL))
    cell.paste(
        ink.resize(size, Image.Resampling.LANCZOS), ((CELL - size[0]) // 2, (CELL - size[1]) // 2)
    )
    return cell


def build_atlas(files: list[str]) -> Image.Image:
    """Atlas of the digits of every font file."""
    atlas = Image.new("L", (CELL * 10, CELL * len(files)))
    for row, file in enumerate(files):
        face = ImageFont.truetype(file, 300)
        for digit in range(10):
            atlas.paste(_draw_cell(face, digit), (digit * CELL, row * CELL))
    return atlas


if __name__ == "__main__":
    build_atlas(sys.argv[1:]).save(ATLAS, optimize=True)
