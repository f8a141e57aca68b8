"""What a question is, and the makers of single-picture and retrieval questions.

A maker gets a generator, the number of pictures and the place of the evidence, and returns one
question with its pictures. Wordings are those that the pocket promises to understand.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.pocketbench.drawer import COLOURS, View
from bench.pocketbench.outlines import SHAPES
from bench.pocketbench.views import DIGITS, others, pair, pick, view


@dataclass(frozen=True, slots=True)
class Question:
    """Pictures, text around them and the right answer; `evidence`: pictures that decide it.

    `between[k]` is the text right after picture k; the question itself comes last.
    """

    views: tuple[View, ...]
    text: str
    response: str
    choices: tuple[str, ...] = ()
    evidence: tuple[int, ...] = ()
    between: tuple[str, ...] = ()


Maker = Callable[[random.Random, int, int], Question]


def _shapes_and_digits(
    generator: random.Random, count: int, *, but: Sequence[tuple[str, str]] = ()
) -> list[list[tuple[str, str]]]:
    """Contents of pictures: one or two things, half of the time a digit as well."""
    rows = []
    for _ in range(count):
        first = pair(generator, but=but)
        row = [first]
        if generator.random() < 0.5:
            row.append(pair(generator, but=but, not_shapes=[first[0]], not_colours=[first[1]]))
        rows.append(row)
    return rows


def _drawn(generator: random.Random, rows: Sequence[Sequence[tuple[str, str]]]) -> tuple[View, ...]:
    return tuple(view(generator, row) for row in rows)


def numbers(count: int) -> tuple[str, ...]:
    """The numbers of all pictures, as choices."""
    return tuple(str(number) for number in range(1, count + 1))


def which_pair(generator: random.Random, count: int, place: int) -> Question:
    """Which image shows a red circle? Other pictures share its shape or its colour."""
    shape, colour = pair(generator)
    rows = _shapes_and_digits(generator, count, but=[(shape, colour)])
    for index, row in enumerate(rows):
        if index % 2:
            row[0] = (shape, pick(generator, COLOURS, [colour]))
        else:
            row[0] = (pick(generator, SHAPES, [shape]), colour)
        del row[1:]
    rows[place] = [(shape, colour)]
    return Question(
        _drawn(generator, rows),
        f"Which image shows a {colour} {shape}?",
        str(place + 1),
        numbers(count),
        (place,),
    )


def which_colour(generator: random.Random, count: int, place: int) -> Question:
    """In which image is there a green object? No other picture has that colour."""
    colour = generator.choice(COLOURS)
    rows = [[pair(generator, not_colours=[colour])] for _ in range(count)]
    rows[place] = [(generator.choice(SHAPES), colour)]
    return Question(
        _drawn(generator, rows),
        f"In which image is there a {colour} object?",
        str(place + 1),
        numbers(count),
        (place,),
    )


def which_shape(generator: random.Random, count: int, place: int) -> Question:
    """Which image shows a heart? No other picture has that shape."""
    shape = generator.choice(SHAPES)
    rows = [[pair(generator, not_shapes=[shape])] for _ in range(count)]
    rows[place] = [(shape, generator.choice(COLOURS))]
    return Question(
        _drawn(generator, rows),
        f"Which image shows a {shape}?",
        str(place + 1),
        numbers(count),
        (place,),
    )


def exists_anywhere(generator: random.Random, count: int, place: int) -> Question:
    """Is there a heart in any image? Where not, all pictures are the evidence."""
    shape = generator.choice(SHAPES)
    there = generator.random() < 0.5
    rows = [[pair(generator, not_shapes=[shape])] for _ in range(count)]
    if there:
        rows[place] = [(shape, generator.choice(COLOURS))]
    return Question(
        _drawn(generator, rows),
        f"Is there a {shape} in any image?",
        "yes" if there else "no",
        ("yes", "no"),
        (place,) if there else tuple(range(count)),
    )


def which_digit(generator: random.Random, count: int, place: int) -> Question:
    """Which image shows the digit 7? Every slide bears a digit, only one that one."""
    digit = generator.choice(DIGITS)
    rows = []
    for index in range(count):
        shown = digit if index == place else pick(generator, DIGITS, [digit])
        rows.append([pair(generator), (shown, generator.choice(COLOURS))])
    return Question(
        _drawn(generator, rows),
        f"Which image shows the digit {digit}?",
        str(place + 1),
        numbers(count),
        (place,),
    )


def colour_of(generator: random.Random, count: int, place: int) -> Question:
    """What colour is the star in image 3? Stars of other colours stand elsewhere."""
    shape, colour = pair(generator)
    rows = _shapes_and_digits(generator, count)
    for index in range(count):
        if generator.random() < 0.5:
            rows[index] = [(shape, pick(generator, COLOURS, [colour]))]
    rows[place] = [
        (shape, colour),
        pair(generator, not_shapes=[shape], not_colours=[colour]),
    ]
    return Question(
        _drawn(generator, rows),
        f"What colour is the {shape} in image {place + 1}?",
        colour,
        tuple(others(generator, colour, COLOURS, 4)),
        (place,),
    )


def shape_of(generator: random.Random, count: int, place: int) -> Question:
    """What shape is the red object in image 3? is asked."""
    shape, colour = pair(generator)
    rows = _shapes_and_digits(generator, count)
    rows[place] = [
        (shape, colour),
        pair(generator, not_shapes=[shape], not_colours=[colour]),
    ]
    return Question(
        _drawn(generator, rows),
        f"What shape is the {colour} object in image {place + 1}?",
        shape,
        tuple(others(generator, shape, SHAPES, 4)),
        (place,),
    )


def digit_of(generator: random.Random, count: int, place: int) -> Question:
    """What digit is written in image 3? Other pictures bear other digits."""
    rows = [[pair(generator), (generator.choice(DIGITS), "black")] for _ in range(count)]
    digit = generator.choice(DIGITS)
    rows[place] = [pair(generator), (digit, generator.choice(COLOURS))]
    return Question(
        _drawn(generator, rows),
        f"What digit is written in image {place + 1}?",
        digit,
        tuple(others(generator, digit, DIGITS, 4)),
        (place,),
    )


def exists_in(generator: random.Random, count: int, place: int) -> Question:
    """Is there a heart in image 4? Where not, another picture has one."""
    shape = generator.choice(SHAPES)
    there = generator.random() < 0.5
    rows = [[pair(generator)] for _ in range(count)]
    rows[(place + 1) % count] = [(shape, generator.choice(COLOURS))]
    rows[place] = [pair(generator, not_shapes=[shape])]
    if there:
        rows[place].append((shape, generator.choice(COLOURS)))
    return Question(
        _drawn(generator, rows),
        f"Is there a {shape} in image {place + 1}?",
        "yes" if there else "no",
        ("yes", "no"),
        (place,),
    )


def how_many(generator: random.Random, count: int, place: int) -> Question:
    """How many images show a star? The last of them stands at `place`."""
    shape = generator.choice(SHAPES)
    among = min(place, 3)
    shown = {place, *generator.sample(range(place), generator.randint(0, among))}
    rows = [
        [(shape, generator.choice(COLOURS))]
        if k in shown
        else [pair(generator, not_shapes=[shape])]
        for k in range(count)
    ]
    return Question(
        _drawn(generator, rows),
        f"How many images show a {shape}?",
        str(len(shown)),
        ("1", "2", "3", "4"),
        tuple(sorted(shown)),
    )


def describe(generator: random.Random, count: int, place: int) -> Question:
    """Describe image 2. Answered in words, scored by ROUGE-L."""
    rows = _shapes_and_digits(generator, count)
    shape, colour = pair(generator)
    digit = generator.choice(DIGITS)
    rows[place] = [(shape, colour), (digit, generator.choice(COLOURS))]
    return Question(
        _drawn(generator, rows),
        f"Describe image {place + 1}.",
        f"{colour} {shape}, {digit}",
        (),
        (place,),
    )


def image_needle(generator: random.Random, count: int, place: int) -> Question:
    """What digit is written in image 3? It is the only digit of all pictures."""
    digit = generator.choice(DIGITS)
    rows: list[list[tuple[str, str]]] = [[pair(generator)] for _ in range(count)]
    rows[place].append((digit, generator.choice(COLOURS)))
    return Question(
        _drawn(generator, rows),
        f"What digit is written in image {place + 1}?",
        digit,
        (),
        (place,),
    )
