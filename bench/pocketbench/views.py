"""Random views with a known content: who stands where, and what is sure not to be there.

Knows no questions and no files.
"""

import random
from collections.abc import Collection, Sequence

from bench.pocketbench.drawer import COLOURS, GROUNDS, Figure, View
from bench.pocketbench.outlines import SHAPES

DIGITS = tuple("0123456789")
SIZES = ((96, 96), (128, 128), (160, 128), (128, 160))
# Corners of a loose grid, so that figures never overlap.
SPOTS = ((0.28, 0.3), (0.72, 0.3), (0.28, 0.72), (0.72, 0.72))


def view(generator: random.Random, contents: Sequence[tuple[str, str]]) -> View:
    """A picture of exactly these (kind, colour) pairs; up to four."""
    spots = generator.sample(SPOTS, len(contents))
    figures = tuple(
        Figure(
            kind,
            colour,
            x + generator.uniform(-0.05, 0.05),
            y + generator.uniform(-0.05, 0.05),
            generator.uniform(0.27, 0.37),
            generator.uniform(-0.16, 0.16),
        )
        for (kind, colour), (x, y) in zip(contents, spots, strict=True)
    )
    return on_ground(generator, figures)


def on_ground(generator: random.Random, figures: tuple[Figure, ...]) -> View:
    """The figures on some ground, in a picture of some size."""
    width, height = generator.choice(SIZES)
    return View(figures, width, height, generator.choice(GROUNDS), generator.randrange(2**31))


def pick(generator: random.Random, choices: Sequence[str], but: Collection[str] = ()) -> str:
    """One of the choices that is not excluded."""
    return generator.choice([choice for choice in choices if choice not in but])


def pair(
    generator: random.Random,
    *,
    but: Collection[tuple[str, str]] = (),
    not_shapes: Collection[str] = (),
    not_colours: Collection[str] = (),
) -> tuple[str, str]:
    """A (shape, colour) that avoids the given pairs, shapes and colours."""
    while True:
        found = (pick(generator, SHAPES, not_shapes), pick(generator, COLOURS, not_colours))
        if found not in but:
            return found


def others(generator: random.Random, right: str, choices: Sequence[str], count: int) -> list[str]:
    """The right choice and some wrong ones, shuffled."""
    wrong = generator.sample([choice for choice in choices if choice != right], count - 1)
    mixed = [right, *wrong]
    generator.shuffle(mixed)
    return mixed
