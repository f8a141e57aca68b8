"""`python -m pocket.examples FOLDER` draws the six pictures of the examples folder.

In the first three, one shows a red circle. Knows no model.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from pocket.draw import draw
from pocket.scene import Kind, Scene, background_for, sample_thing, spread

CONTENTS: tuple[tuple[str, list[tuple[Kind, str]]], ...] = (
    ("1.png", [("square", "blue"), ("7", "black")]),
    ("2.png", [("circle", "red"), ("star", "green")]),
    ("3.png", [("triangle", "red"), ("heart", "yellow")]),
    ("4.png", [("ring", "purple"), ("3", "blue")]),
    ("5.jpg", [("diamond", "cyan"), ("cross", "black")]),
    ("6.jpg", [("star", "white"), ("circle", "green")]),
)
SIZES = ((320, 256), (300, 300), (360, 270), (256, 320), (320, 320), (400, 256))


def example(number: int) -> Scene:
    """The scene of one example, counted from 0."""
    rng = np.random.default_rng([number, 11])
    width, height = SIZES[number]
    wanted = [sample_thing(kind, color, rng) for kind, color in CONTENTS[number][1]]
    wanted = [replace(thing, width=float(rng.uniform(0.26, 0.36)), stretch=1.0) for thing in wanted]
    things = spread(wanted, width, height, rng)
    background = replace(background_for(things, rng), grain=0.0)
    if background.style == "noise":  # noise does not compress
        background = replace(background, style="gradient")
    return Scene(width, height, background, things, smooth=True, jpeg=0)


def draw_examples(folder: Path) -> None:
    """Write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, _) in enumerate(CONTENTS):
        if name.endswith("jpg"):
            draw(example(number)).save(folder / name, quality=85)
        else:
            draw(example(number)).save(folder / name, optimize=True)


if __name__ == "__main__":
    draw_examples(Path(sys.argv[1] if len(sys.argv) > 1 else "examples"))
