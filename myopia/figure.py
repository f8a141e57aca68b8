"""Draws the paper's Figure A2: share of attention of every image, one line per layer.

Takes plain numbers and gives a picture; knows no tensors, no model and no policy.
"""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 880, 520
LEFT, RIGHT, TOP, BOTTOM = 84, 150, 56, 60
INK, PALE = (32, 34, 40), (222, 224, 230)
FIRST_LAYER, LAST_LAYER = (36, 71, 168), (240, 132, 40)
TICKS = 5
MOST_NAMED = 8  # layers named beside the lines

Color = tuple[int, int, int]
Shares = Sequence[Sequence[float]]


def draw_shares(shares: Shares, title: str) -> Image.Image:
    """Lines over images (left to right) of their shares, `shares[layer][image]`, RGB.

    Raises ValueError where there is nothing to draw or layers differ in images.
    """
    if not shares or not shares[0] or any(len(row) != len(shares[0]) for row in shares):
        raise ValueError("shares must be layers of one number per image")
    canvas = Image.new("RGB", (WIDTH, HEIGHT), (255, 255, 255))
    brush = ImageDraw.Draw(canvas)
    most = max(max(row) for row in shares) * 1.08 or 1.0
    _axes(brush, len(shares[0]), most)
    brush.text((LEFT, 18), title, INK, _font(18))
    for layer, row in enumerate(shares):
        points = [_place(image, len(row), share, most) for image, share in enumerate(row)]
        color = _color(layer, len(shares))
        if len(points) > 1:
            brush.line(points, color, 2, joint="curve")
        for x, y in points:
            brush.ellipse((x - 3, y - 3, x + 3, y + 3), color)
    _legend(brush, len(shares))
    return canvas


def _place(image: int, images: int, share: float, most: float) -> tuple[float, float]:
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    along = image / (images - 1) if images > 1 else 0.5
    return LEFT + wide * along, TOP + high * (1 - share / most)


def _axes(brush: ImageDraw.ImageDraw, images: int, most: float) -> None:
    font = _font(13)
    for tick in range(TICKS + 1):
        share = most * tick / TICKS
        _, y = _place(0, images, share, most)
        brush.line((LEFT, y, WIDTH - RIGHT, y), PALE)
        brush.text((LEFT - 10, y), f"{100 * share:.1f} %", INK, font, anchor="rm")
    every = max(1, -(-images // 16))
    for image in range(0, images, every):
        x, _ = _place(image, images, 0.0, most)
        brush.text((x, HEIGHT - BOTTOM + 10), str(image + 1), INK, font, anchor="mt")
    brush.text(
        ((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16),
        "image, in the order read",
        INK,
        font,
        anchor="mb",
    )


def _legend(brush: ImageDraw.ImageDraw, layers: int) -> None:
    font = _font(13)
    shown = min(layers, MOST_NAMED)
    named = [round(at * (layers - 1) / max(1, shown - 1)) for at in range(shown)]
    for place, layer in enumerate(named):
        y = TOP + 10 + 22 * place
        brush.line((WIDTH - RIGHT + 16, y, WIDTH - RIGHT + 40, y), _color(layer, layers), 3)
        brush.text((WIDTH - RIGHT + 48, y), f"layer {layer + 1}", INK, font, anchor="lm")


def _color(layer: int, layers: int) -> Color:
    along = layer / max(1, layers - 1)
    red, green, blue = (
        round(a + (b - a) * along) for a, b in zip(FIRST_LAYER, LAST_LAYER, strict=True)
    )
    return red, green, blue


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
