"""Single pictures with five references each, for the shape of the paper's caption table.

The references say the same scene in five orders and wordings, as five people would.
"""

import random
from dataclasses import dataclass

from bench.pocketbench.drawer import COLOURS, View
from bench.pocketbench.views import DIGITS, pair, view


@dataclass(frozen=True, slots=True)
class Captioned:
    """A drawn scene and five captions of it."""

    view: View
    references: tuple[str, ...]


def make_captioned(number: int, seed: int = 0) -> Captioned:
    """Scene `number`: two shapes and a digit."""
    generator = random.Random(f"{seed}/captions/{number}")
    first = pair(generator)
    second = pair(generator, not_shapes=[first[0]], not_colours=[first[1]])
    digit = generator.choice(DIGITS)
    shown = view(generator, [first, second, (digit, generator.choice(COLOURS))])
    names = [f"{colour} {shape}" for shape, colour in (first, second)]
    references = (
        f"{names[0]}, {names[1]}, {digit}",
        f"{names[1]}, {names[0]}, {digit}",
        f"{digit}, {names[0]}, {names[1]}",
        f"a {names[0]} and a {names[1]} with the digit {digit}",
        f"{names[1]} and {names[0]}, digit {digit}",
    )
    return Captioned(shown, references)
