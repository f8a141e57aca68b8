"""The exam of `pocket.exam` on pictures of the other drawer; run as a script it prints the table.

`python -m tests.pocket.other_exam [FOLDER]`.
"""

import sys
from typing import Any

import numpy as np
from PIL import Image

from pocket.albums import PICTURES, Album, Step, _changed, _distinct, _grid, _loose
from pocket.backgrounds import Background
from pocket.exam import LINKED_TASKS, Asking, Mark, encode, examine, show
from pocket.features import Pages
from pocket.scene import Scene, Thing
from tests.pocket.other_drawer import Drawn, Item, draw_other, scenery

BLANK = Background("plain", (0, 0, 0), (0, 0, 0), 0, 0.0)


def _scene(drawn: Drawn) -> Scene:
    """The truth about a picture in the form that question makers read."""
    things = tuple(
        Thing(i.kind, i.color, (0, 0, 0), i.x, i.y, i.size, 0.0, 1.0, 0.5, 0) for i in drawn.items
    )
    wide, high = drawn.picture.size
    return Scene(wide, high, BLANK, things, True, 0)


def _contents(scene: Scene) -> list[tuple[str, str]]:
    return [(t.kind, t.color) for t in scene.things]


def _series(rng: np.random.Generator) -> tuple[Album, list[Image.Image]]:
    """Movements (three pictures) and changes (two pictures) by the other drawer."""
    scenes: list[Scene] = []
    pictures: list[Image.Image] = []
    steps: list[Step] = []
    while len(scenes) < PICTURES:
        base = len(scenes)
        drawn = draw_other(_distinct(int(rng.integers(1, 4)), rng), rng)
        wide, high = drawn.picture.size
        ground = scenery(rng, wide, high)
        if base + 3 <= PICTURES and rng.random() < 0.5:
            item = draw_other([("star", "red")], rng).items[0]
            kind, color = _contents(_scene(drawn))[0]
            what = str(rng.choice(["left", "right", "up", "down"]))
            rows = []
            for t in (0.18, 0.5, 0.82):
                along = t if what in ("right", "down") else 1 - t
                x, y = (along, item.y) if what in ("left", "right") else (item.x, along)
                rows.append([Item(kind, color, x, y, min(item.size, 0.25))])
            steps += [Step(base + i, base + j, what, 0) for i in range(3) for j in range(i + 1, 3)]
        elif base + 2 <= PICTURES:
            items, index = list(drawn.items), int(rng.integers(len(drawn.items)))
            digit = items[index].kind.isdigit()
            options = ["color", "digit" if digit else "shape", "position", "nothing"]
            what = str(rng.choice(options))
            scene = _scene(drawn)
            after = scene if what == "nothing" else _changed(scene, what, index, rng)
            t = after.things[index]
            other = list(items)
            other[index] = Item(t.kind, t.color, t.x, t.y, items[index].size)
            rows = [items, other]
            steps.append(Step(base, base + 1, what, -1 if what == "nothing" else index))
        else:
            rows = [list(drawn.items)]
        for _ in range(40):
            try:
                shown = [_fixed(row, ground, rng) for row in rows]
                break
            except ValueError:
                ground = scenery(rng, wide, high)
        else:
            steps = [s for s in steps if s.first < base]
            continue
        scenes += [_scene(d) for d in shown]
        pictures += [d.picture for d in shown]
    return Album(tuple(scenes), tuple(steps)), pictures


def _fixed(row: list[Item], ground: Image.Image, rng: np.random.Generator) -> Drawn:
    from tests.pocket.other_drawer import _paint

    drawn = _paint(ground.copy(), [], rng, row)
    if drawn is None:
        raise ValueError("cannot be seen on this ground")
    return drawn


def other_pages(model: Any, albums: int, seed: int) -> Pages:
    """Albums of the same make as pocket's, drawn by the other drawer."""
    made: list[Album] = []
    pictures: list[Image.Image] = []
    for number in range(albums):
        rng = np.random.default_rng([seed, number, 77])
        if number % 4 == 3:
            album, shown = _series(rng)
        else:
            plan = (_grid, _loose)[number % 2](rng)
            drawn = [draw_other(_contents(scene), rng) for scene in plan.scenes]
            album = Album(tuple(_scene(d) for d in drawn), ())
            shown = [d.picture for d in drawn]
        made.append(album)
        pictures += shown
    return encode(model, made, pictures, labelled=False)


def other_marks(model: Any, counts: list[int], stories: int, seed: int = 0) -> list[Mark]:
    """Marks on the other drawer's pictures."""
    return examine(model, other_pages(model, 24, seed), counts, stories, seed)


def linked_marks(model: Any, counts: list[int], stories: int, seed: int = 0) -> list[Mark]:
    """Marks of changes and movements, about albums that hold nothing else: more different pairs."""
    made: list[Album] = []
    pictures: list[Image.Image] = []
    for number in range(60):
        album, shown = _series(np.random.default_rng([seed, number, 78]))
        made.append(album)
        pictures += shown
    pages = encode(model, made, pictures, labelled=False)
    marks: list[Mark] = []
    for task in sorted(LINKED_TASKS):
        marks += examine(model, pages, counts, stories, seed, Asking({task: 1.0}, each=6))
    return marks


if __name__ == "__main__":
    import torch
    from transformers import LlavaNextForConditionalGeneration

    from pocket import weights_folder

    torch.set_num_threads(2)
    place = sys.argv[1] if len(sys.argv) > 1 else weights_folder()
    loaded = LlavaNextForConditionalGeneration.from_pretrained(place)
    asked = [2, 4, 6, 8, 10, 12]
    found = [one for one in other_marks(loaded, asked, 40) if one.task not in LINKED_TASKS]
    print(show(found + linked_marks(loaded, asked, 30)))
