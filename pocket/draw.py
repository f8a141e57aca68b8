"""Draws a scene as a picture. Same scene, same pixels.

Knows nothing of tiles, questions or models.
"""

import io

from PIL import Image

from pocket.backgrounds import paint
from pocket.outlines import digit_mask, shape_mask
from pocket.scene import Scene, Thing


def _mask(thing: Thing, width: float, smooth: bool) -> Image.Image:
    if thing.is_digit:
        return digit_mask(int(thing.kind), thing.face, width, thing.angle, smooth)
    return shape_mask(thing.kind, width, thing.angle, thing.stretch, thing.trim, smooth)


def draw(scene: Scene) -> Image.Image:
    """The picture of a scene, mode RGB."""
    picture = paint(scene.background, scene.width, scene.height)
    short = min(scene.width, scene.height)
    for thing in scene.things:
        mask = _mask(thing, thing.width * short, scene.smooth)
        left = round(thing.x * scene.width - mask.width / 2)
        top = round(thing.y * scene.height - mask.height / 2)
        picture.paste(thing.rgb, (left, top), mask)
    if scene.jpeg:
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=scene.jpeg)
        with Image.open(stream) as again:
            picture = again.convert("RGB")
    return picture
