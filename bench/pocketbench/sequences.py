"""Makers of questions about several pictures: movement, change, order, counterfactual, dialogue.

Also those in which text between the pictures holds the evidence or a part of it.
"""

import random
from dataclasses import replace

from bench.pocketbench.drawer import COLOURS, Figure, View
from bench.pocketbench.outlines import SHAPES
from bench.pocketbench.stories import Question, colour_of, describe, how_many, numbers, which_pair
from bench.pocketbench.views import DIGITS, on_ground, pair, pick, view

NAMES = ("amber", "ruby", "cobalt", "ivory", "coral", "jade", "olive", "pearl", "onyx", "topaz")
DIRECTIONS = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
CHANGES = ("colour", "shape", "position", "digit", "nothing")


def _steps(generator: random.Random, direction: str, length: int) -> list[View]:
    """Views of one shape that crosses the picture in equal steps, a second thing standing still."""
    shape, colour = pair(generator)
    dx, dy = DIRECTIONS[direction]
    across = generator.uniform(0.3, 0.7)
    ground = on_ground(generator, ())
    frames = []
    for step in range(length):
        along = -0.27 + 0.54 * step / (length - 1)
        x = 0.5 + dx * along if dx else across
        y = 0.5 + dy * along if dy else across
        frames.append(replace(ground, figures=(Figure(shape, colour, x, y, 0.3),)))
    return frames


def _among(
    generator: random.Random, count: int, place: int, frames: list[View], avoid: str
) -> tuple[View, ...]:
    """The frames starting at `place` (moved back where they would not fit) among other pictures."""
    start = min(place, count - len(frames))
    views = [view(generator, [pair(generator, not_shapes=[avoid])]) for _ in range(count)]
    views[start : start + len(frames)] = frames
    return tuple(views)


def _moved(generator: random.Random, count: int, place: int, length: int) -> Question:
    direction = generator.choice(tuple(DIRECTIONS))
    length = min(length, count)
    frames = _steps(generator, direction, length)
    shape = frames[0].figures[0].kind
    start = min(place, count - length)
    return Question(
        _among(generator, count, place, frames, shape),
        f"Where does the {shape} move from image {start + 1} to image {start + length}?",
        direction,
        tuple(DIRECTIONS),
        tuple(range(start, start + length)),
    )


def moves_over_three(generator: random.Random, count: int, place: int) -> Question:
    """Where does the square move from image 1 to image 3? is asked."""
    return _moved(generator, count, place, 3)


def moves_over_two(generator: random.Random, count: int, place: int) -> Question:
    """Where does the square move from image 1 to image 2? is asked."""
    return _moved(generator, count, place, 2)


def walk(generator: random.Random, count: int, place: int) -> Question:
    """A route with a turn at every picture; one leg of it is asked about."""
    shape, colour = pair(generator)
    place = min(place, count - 2)
    spot, legs, spots = (0, 0), [], [(0, 0)]
    for _ in range(count - 1):
        possible = {
            name: (spot[0] + int(dx), spot[1] + int(dy))
            for name, (dx, dy) in DIRECTIONS.items()
            if abs(spot[0] + dx) <= 1 and abs(spot[1] + dy) <= 1
        }
        legs.append(generator.choice(tuple(possible)))
        spot = possible[legs[-1]]
        spots.append(spot)
    ground = on_ground(generator, ())
    views = tuple(
        replace(ground, figures=(Figure(shape, colour, 0.5 + 0.28 * x, 0.5 + 0.28 * y, 0.28),))
        for x, y in spots
    )
    return Question(
        views,
        f"Where does the {shape} move from image {place + 1} to image {place + 2}?",
        legs[place],
        tuple(DIRECTIONS),
        (place, place + 1),
    )


def what_changed(generator: random.Random, count: int, place: int) -> Question:
    """What changed between image 1 and image 2? is asked."""
    start = min(place, count - 2)
    what = generator.choice(CHANGES)
    shape, colour = pair(generator)
    digit = generator.choice(DIGITS)
    before = view(generator, [(shape, colour), (digit, "black" if colour != "black" else "red")])
    first, second = before.figures
    match what:
        case "colour":
            first = replace(first, colour=pick(generator, COLOURS, [colour, second.colour]))
        case "shape":
            first = replace(first, kind=pick(generator, SHAPES, [shape]))
        case "position":
            first = replace(first, y=first.y + (0.42 if first.y < 0.5 else -0.42))
            if abs(first.x - second.x) < 0.2:  # the digit stands there: step aside too
                first = replace(first, x=1 - first.x)
        case "digit":
            second = replace(second, kind=pick(generator, DIGITS, [digit]))
    after = replace(before, figures=(first, second))
    views = [view(generator, [pair(generator)]) for _ in range(count)]
    views[start : start + 2] = [before, after]
    return Question(
        tuple(views),
        f"What changed between image {start + 1} and image {start + 2}?",
        what,
        CHANGES,
        (start, start + 1),
    )


def change_in_words(generator: random.Random, count: int, place: int) -> Question:
    """The same change, answered in words and scored by ROUGE-L."""
    asked = what_changed(generator, count, place)
    return replace(asked, choices=(), response=asked.response.replace("colour", "color"))


def image_before(generator: random.Random, count: int, place: int) -> Question:
    """Which image comes right before the image that shows a red circle? is asked."""
    place = max(1, place)
    asked = which_pair(generator, count, place)
    thing = asked.text.removeprefix("Which image shows ").removesuffix("?")
    return replace(
        asked, text=f"Which image is right before the image with {thing}?", response=str(place)
    )


def without_one(generator: random.Random, count: int, place: int) -> Question:
    """Counterfactual: how many images show a star without image 3? is asked."""
    asked = how_many(generator, count, place)
    shape = asked.text.removeprefix("How many images show a ").removesuffix("?")
    left = int(asked.response) - 1
    return replace(
        asked,
        text=f"How many images show a {shape} without image {place + 1}?",
        response=str(left),
        choices=("0", "1", "2", "3"),
    )


def _notes(generator: random.Random, count: int) -> tuple[list[str], dict[str, str]]:
    names = generator.sample(NAMES, min(count, len(NAMES)))
    values = {name: generator.choice(DIGITS) for name in names}
    texts = [
        f"Note: {names[k]} is {values[names[k]]}." if k < len(names) else "" for k in range(count)
    ]
    return texts, values


def text_needle(generator: random.Random, count: int, place: int) -> Question:
    """What is the value of amber? A note between the pictures says so."""
    texts, values = _notes(generator, count)
    generator.shuffle(texts)
    places = [index for index, text in enumerate(texts) if text]
    at = min(places, key=lambda index: abs(index - place))
    name = texts[at].removeprefix("Note: ").split(" is ")[0]
    views = tuple(view(generator, [pair(generator)]) for _ in range(count))
    return Question(views, f"What is the value of {name}?", values[name], (), (at,), tuple(texts))


def note_then_image(generator: random.Random, count: int, place: int) -> Question:
    """Two hops: a note gives amber's value, a picture shows that digit."""
    count_notes = min(count, len(NAMES))
    names = generator.sample(NAMES, count_notes)
    digits = generator.sample(DIGITS, min(count, 10))
    digit = digits[place % len(digits)]
    rows = []
    for index in range(count):
        shown = digit if index == place else pick(generator, DIGITS, [digit])
        rows.append(view(generator, [pair(generator), (shown, generator.choice(COLOURS))]))
    texts = [f"Note: {names[0]} is {digit}."] + [""] * (count - 1)
    return Question(
        tuple(rows),
        f"Which image shows the value of {names[0]}?",
        str(place + 1),
        numbers(count),
        (place,),
        tuple(texts),
    )


def long_text(generator: random.Random, count: int, place: int) -> Question:
    """Retrieval with a note after every picture that has nothing to do with it."""
    asked = which_pair(generator, count, place)
    return replace(asked, between=tuple(_notes(generator, count)[0]))


def dialogue(generator: random.Random, count: int, place: int) -> Question:
    """Second question of a talk: the first, about another picture, is answered in the text."""
    asked = colour_of(generator, count, place)
    other = (place + 1) % count
    figure = asked.views[other].figures[0]
    said = f"What shape is the {figure.colour} object in image {other + 1}? {figure.kind}."
    return replace(asked, text=f"{said} {asked.text}", choices=())


def steps_described(generator: random.Random, count: int, place: int) -> Question:
    """Describe image 2, with notes between the pictures."""
    asked = describe(generator, count, place)
    texts, _ = _notes(generator, count)
    return replace(asked, between=tuple(texts))
