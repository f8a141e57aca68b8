"""Makes questions about a story: one maker per task, None when the story has no clear answer.

Knows the scenes, not the pixels.
"""

from collections.abc import Callable

import numpy as np

from pocket.questions.story import Group, Question, Story
from pocket.questions.wordings import name_thing, word
from pocket.words import COLORS, SHAPES, STRANGE_COLORS, STRANGE_SHAPES

Maker = Callable[[Story, np.random.Generator], Question | None]
Place = tuple[int, int]


def _groups(places: list[Place]) -> tuple[Group, ...]:
    """One group per picture."""
    pictures = sorted({p for p, _ in places})
    return tuple(tuple(x for x in places if x[0] == p) for p in pictures)


def _at_reply(places: list[Place]) -> tuple[tuple[int, tuple[Group, ...]], ...]:
    return ((0, _groups(places)),) if places else ()


def _any_thing(story: Story, rng: np.random.Generator, digit: bool) -> Place | None:
    places = [x for x in story.having() if story.thing(x).is_digit == digit]
    return places[int(rng.integers(len(places)))] if places else None


def _target(
    story: Story, rng: np.random.Generator, mode: str
) -> tuple[str | None, str | None, list[Place]] | None:
    """(kind, colour, everywhere it stands) of something drawn; mode: both, kind, color, digit."""
    place = _any_thing(story, rng, digit=mode == "digit")
    if place is None:
        return None
    thing = story.thing(place)
    kind = None if mode == "color" else thing.kind
    color = thing.color if mode in ("both", "color") else None
    found = story.having(kind, color)
    if mode == "color" and any(story.thing(x).is_digit for x in found):
        return None  # is a digit an object? do not ask
    return kind, color, found


def _find(mode: str) -> Maker:
    def make(story: Story, rng: np.random.Generator) -> Question | None:
        target = _target(story, rng, mode)
        if target is None or len({p for p, _ in target[2]}) != 1:
            return None
        kind, color, found = target
        text = word("find", rng, thing=name_thing(kind, color, rng))
        answer = story.number(found[0][0])
        task = {"both": "find", "kind": "find shape"}.get(mode, f"find {mode}")
        return Question(task, text, answer, (found[0][0],), kind, color, pointers=_at_reply(found))

    return make


def _color(story: Story, rng: np.random.Generator) -> Question | None:
    place = _any_thing(story, rng, digit=bool(rng.random() < 0.08))
    if place is None:
        return None
    thing, picture = story.thing(place), place[0]
    if sum(t.kind == thing.kind for t in story.scenes[picture].things) != 1:
        return None
    k = story.number(picture)
    alone = len(story.scenes[picture].things) == 1 and not thing.is_digit
    if alone and rng.random() < 0.3:
        text, kind = word("tint", rng, k=k), None
    else:
        text, kind = word("color", rng, shape=name_thing(thing.kind, None, rng), k=k), thing.kind
    pointers = _at_reply([place])
    return Question("color", text, thing.color, (picture,), kind, None, (k,), None, pointers)


def _shape(story: Story, rng: np.random.Generator) -> Question | None:
    place = _any_thing(story, rng, digit=False)
    if place is None:
        return None
    thing, picture = story.thing(place), place[0]
    things = story.scenes[picture].things
    k = story.number(picture)
    alone = sum(not t.is_digit for t in things) == 1
    if alone and rng.random() < 0.3:
        text, color = word("only", rng, k=k), None
    elif sum(t.color == thing.color for t in things) == 1:
        text, color = word("shape", rng, color=thing.color, k=k), thing.color
    else:
        return None
    pointers = _at_reply([place])
    return Question("shape", text, thing.kind, (picture,), None, color, (k,), None, pointers)


def _digit(story: Story, rng: np.random.Generator) -> Question | None:
    place = _any_thing(story, rng, digit=True)
    if place is None or sum(t.is_digit for t in story.scenes[place[0]].things) != 1:
        return None
    k = story.number(place[0])
    answer = story.thing(place).kind
    pointers = _at_reply([place])
    text = word("digit", rng, k=k)
    return Question("digit", text, answer, (place[0],), None, None, (k,), None, pointers)


def _absent(
    story: Story, rng: np.random.Generator, picture: int | None
) -> tuple[str | None, str | None] | None:
    """(kind, colour) of something not in that picture (or in none): mostly a near miss."""
    for _ in range(8):
        kind: str | None = str(rng.choice(SHAPES))
        color: str | None = str(rng.choice(COLORS)) if rng.random() < 0.6 else None
        seen = _any_thing(story, rng, digit=False)
        if seen is not None and rng.random() < 0.7:
            kind = story.thing(seen).kind
            if color is not None and rng.random() < 0.5:
                color = story.thing(seen).color
                kind = kind if picture is not None else str(rng.choice(SHAPES))
        draw = rng.random()
        if draw < 0.12:
            kind, color = None, str(rng.choice(COLORS))
        elif draw < 0.25:
            kind, color = str(rng.integers(10)), None
        elif draw < 0.28:
            kind = str(rng.choice(STRANGE_SHAPES))
        elif draw < 0.31:
            color = str(rng.choice(STRANGE_COLORS))
        found = story.having(kind, color)
        if not any(picture is None or p == picture for p, _ in found):
            return kind, color
    return None


def _exist_digit(story: Story, rng: np.random.Generator) -> Question | None:
    """Whether a picture shows any digit at all, as often yes as no."""
    shown = [any(t.is_digit for t in scene.things) for scene in story.scenes]
    if len(set(shown)) == 1:
        return None
    yes = bool(rng.random() < 0.5)
    picture = int(rng.choice(np.flatnonzero(np.array(shown) == yes)))
    k = story.number(picture)
    text = word("exist", rng, thing=str(rng.choice(["digit", "number"])), k=k)
    things = story.scenes[picture].things
    places = [(picture, i) for i, t in enumerate(things) if t.is_digit]
    answer = "yes" if yes else "no"
    return Question("exist", text, answer, (picture,), numbers=(k,), pointers=_at_reply(places))


def _exist(anywhere: bool) -> Maker:
    def make(story: Story, rng: np.random.Generator) -> Question | None:
        if not anywhere and rng.random() < 0.05:
            return _exist_digit(story, rng)
        yes = bool(rng.random() < 0.5)
        picture = None if anywhere else int(rng.integers(len(story.scenes)))
        found: list[Place] = []
        if yes:
            mode = str(rng.choice(["both", "kind", "color", "digit"], p=[0.35, 0.35, 0.12, 0.18]))
            target = _target(story, rng, mode)
            if target is None:
                return None
            kind, color, found = target
            if not anywhere:
                picture = found[int(rng.integers(len(found)))][0]
                found = [x for x in found if x[0] == picture]
        else:
            missing = _absent(story, rng, picture)
            if missing is None:
                return None
            kind, color = missing
        slots = {"thing": name_thing(kind, color, rng)}
        numbers: tuple[str, ...] = ()
        if picture is not None:
            slots["k"] = story.number(picture)
            numbers = (slots["k"],)
        task = "exist any" if anywhere else "exist"
        shown = (picture,) if picture is not None else tuple(sorted({p for p, _ in found}))
        return Question(
            task, word(task, rng, **slots), "yes" if yes else "no", shown,
            kind, color, numbers, None, _at_reply(found),
        )  # fmt: skip

    return make


def _count(story: Story, rng: np.random.Generator) -> Question | None:
    mode = str(rng.choice(["both", "kind", "color", "digit"], p=[0.2, 0.45, 0.2, 0.15]))
    target = _target(story, rng, mode)
    if rng.random() < 0.08:
        missing = _absent(story, rng, None)
        target = (*missing, []) if missing else None
    if target is None:
        return None
    kind, color, found = target
    pictures = tuple(sorted({p for p, _ in found}))
    if len(pictures) == 1 and rng.random() < 0.5:
        return None  # most things stand in one picture only: ask them less
    text = word("count", rng, thing=name_thing(kind, color, rng))
    answer = str(len(pictures))
    return Question("count", text, answer, pictures, kind, color, pointers=_at_reply(found))


def _describe(story: Story, rng: np.random.Generator) -> Question | None:
    picture = int(rng.integers(len(story.scenes)))
    things = story.scenes[picture].things
    order = sorted(
        range(len(things)),
        key=lambda i: (
            things[i].is_digit,
            int(things[i].kind) if things[i].is_digit else SHAPES.index(things[i].kind),
            COLORS.index(things[i].color),
        ),
    )
    parts: list[str] = []
    pointers: list[tuple[int, tuple[Group, ...]]] = []
    offset = 0
    for i in order:
        said = things[i].kind if things[i].is_digit else f"{things[i].color} {things[i].kind}"
        parts.append(said)
        length = len(said.split())
        pointers += [(offset + after, (((picture, i),),)) for after in range(length)]
        offset += length + 1
    k = story.number(picture)
    answer = " , ".join(parts) if parts else "nothing"
    return Question(
        "describe", word("describe", rng, k=k), answer, (picture,),
        None, None, (k,), None, tuple(pointers),
    )  # fmt: skip


def _needle(story: Story, rng: np.random.Generator) -> Question | None:
    if not story.notes:
        return None
    index = int(rng.integers(len(story.notes)))
    note = story.notes[index]
    text = word("needle", rng, name=note.name)
    return Question(
        "needle", text, note.value, (min(note.place, len(story.scenes) - 1),),
        name=note.name, pointers=((0, (((-1, index),),)),),
    )  # fmt: skip


def _link(task: str) -> Maker:
    def make(story: Story, rng: np.random.Generator) -> Question | None:
        moving = task == "move"
        links = [x for x in story.links if (x.what in ("left", "right", "up", "down")) == moving]
        if not links:
            return None
        link = links[int(rng.integers(len(links)))]
        first, second = link.first, link.second
        if not moving and rng.random() < 0.15:
            first, second = second, first
        slots = {"k": story.number(first), "j": story.number(second)}
        kind = None
        if moving:
            kind = story.scenes[first].things[link.thing].kind
            slots["shape"] = name_thing(kind, None, rng)
        # a change is found by comparing all that both pictures show, "nothing" too
        groups = [
            ((p, t),)
            for p in sorted((first, second))
            for t in range(len(story.scenes[p].things))
            if t == link.thing or not moving
        ]
        return Question(
            task, word(task, rng, **slots), link.what, (first, second),
            kind, None, (slots["k"], slots["j"]), None, ((0, tuple(groups)),),
        )  # fmt: skip

    return make


MAKERS: dict[str, Maker] = {
    "find": _find("both"),
    "find color": _find("color"),
    "find shape": _find("kind"),
    "find digit": _find("digit"),
    "color": _color,
    "shape": _shape,
    "digit": _digit,
    "exist": _exist(False),
    "exist any": _exist(True),
    "count": _count,
    "describe": _describe,
    "needle": _needle,
    "change": _link("change"),
    "move": _link("move"),
}


def ask(task: str, story: Story, rng: np.random.Generator, tries: int = 6) -> Question | None:
    """A question of that task, or None when the story has none."""
    for _ in range(tries):
        question = MAKERS[task](story, rng)
        if question is not None:
            return question
    return None
