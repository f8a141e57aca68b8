"""A bar chart by Pillow alone, for machines without a plotting library."""

from collections.abc import Mapping

from PIL import Image, ImageDraw

ROW, LEFT, WIDTH = 22, 420, 900


def bars(values: Mapping[str, float]) -> Image.Image:
    """One horizontal bar per value, its number beside it."""
    highest = max(values.values(), default=1.0) or 1.0
    picture = Image.new("RGB", (WIDTH, ROW * (len(values) + 1)), "white")
    pen = ImageDraw.Draw(picture)
    for number, (name, value) in enumerate(values.items()):
        top = ROW * number + ROW // 2
        length = max(1, int((WIDTH - LEFT - 70) * value / highest))
        pen.text((LEFT - 8, top + 4), name, fill="black", anchor="rt")
        pen.rectangle((LEFT, top, LEFT + length, top + ROW - 8), fill="#1b6ca8")
        pen.text((LEFT + length + 6, top + 4), f"{value:.3g}", fill="black")
    return picture
