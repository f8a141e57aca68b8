"""Albums: a dozen scenes to be asked about together, some of them tales of change or movement.

Knows nothing of wordings, tiles or models.
"""

from dataclasses import dataclass, replace

import numpy as np

from pocket.colors import sample_shade
from pocket.scene import Kind, Scene, Thing, at, background_for, sample_scene
from pocket.words import COLORS, SHAPES

PICTURES = 12
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}


@dataclass(frozen=True, slots=True)
class Step:
    """What happened between two pictures of an album: a change, or a movement of one thing."""

    first: int
    second: int
    what: str  # color, shape, position, digit, nothing; or left, right, up, down
    thing: int  # whose index in both scenes, -1 when nothing happened


@dataclass(frozen=True, slots=True)
class Album:
    """Scenes and the steps known between some of them."""

    scenes: tuple[Scene, ...]
    steps: tuple[Step, ...]


def sample_kind(rng: np.random.Generator, digits: float = 0.3) -> Kind:
    """A random shape, or a digit with that probability."""
    return str(rng.integers(10)) if rng.random() < digits else str(rng.choice(SHAPES))


def _count(rng: np.random.Generator) -> int:
    return int(rng.choice([1, 2, 3], p=[0.35, 0.4, 0.25]))


def _loose(rng: np.random.Generator) -> Album:
    scenes = []
    for _ in range(PICTURES):
        wanted = [(sample_kind(rng), str(rng.choice(COLORS))) for _ in range(_count(rng))]
        scenes.append(sample_scene(wanted if rng.random() > 0.02 else [], rng))
    return Album(tuple(scenes), ())


def _grid(rng: np.random.Generator) -> Album:
    """Few shapes times few colours: every object has rivals that share one of the two."""
    shapes = rng.choice(SHAPES, size=int(rng.integers(3, 6)), replace=False)
    colors = rng.choice(COLORS, size=int(rng.integers(3, 6)), replace=False)
    pairs = [(str(s), str(c)) for s in shapes for c in colors]
    order = list(rng.permutation(len(pairs)))
    digits = list(rng.permutation(10))
    scenes = []
    for _ in range(PICTURES):
        wanted: list[tuple[Kind, str]] = []
        for _ in range(int(rng.integers(1, 3))):
            if order:
                wanted.append(pairs[order.pop()])
        if not wanted or rng.random() < 0.35:
            digit = str(digits.pop()) if digits else str(rng.integers(10))
            wanted.append((digit, str(rng.choice(COLORS))))
        scenes.append(sample_scene(wanted, rng))
    return Album(tuple(scenes), ())


def _distinct(count: int, rng: np.random.Generator) -> list[tuple[Kind, str]]:
    """Things of different kinds, so that a name points at one of them."""
    shapes = [str(s) for s in rng.choice(SHAPES, size=count, replace=False)]
    wanted = [(shape, str(rng.choice(COLORS))) for shape in shapes]
    if count > 1 and rng.random() < 0.5:
        wanted[-1] = (str(rng.integers(10)), str(rng.choice(COLORS)))
    return wanted


def _movement(rng: np.random.Generator, length: int, base: int) -> tuple[list[Scene], list[Step]]:
    """One thing crosses the picture in equal steps; the others stand still, off its lane."""
    scene = sample_scene(_distinct(int(rng.integers(1, 3)), rng), rng)
    what = str(rng.choice(list(DIRECTIONS)))
    dx, dy = DIRECTIONS[what]
    mover = scene.things[0]
    margin = mover.width * 0.55 * min(scene.width, scene.height)
    low = margin / (scene.width if dx else scene.height)
    room = max(0.0, 1 - 2 * low)
    stride = rng.uniform(0.45, 1.0) * room / (length - 1)
    start = low + rng.uniform(0, max(0.0, room - stride * (length - 1)))
    scenes = []
    for i in range(length):
        along = start + stride * i
        along = along if dx + dy > 0 else 1 - along
        drift = rng.normal(0, 0.01)
        x = along if dx else mover.x + drift
        y = along if dy else mover.y + drift
        scenes.append(replace(scene, things=(at(mover, x, y), *scene.things[1:])))
    steps = [Step(base + i, base + j, what, 0) for i in range(length) for j in range(i + 1, length)]
    return scenes, steps


def _changed(scene: Scene, what: str, index: int, rng: np.random.Generator) -> Scene:
    """The scene with one property of one thing changed."""
    thing: Thing = scene.things[index]
    if what == "color":
        color = str(rng.choice([c for c in COLORS if c != thing.color]))
        thing = replace(thing, color=color, rgb=sample_shade(color, rng))
    elif what == "shape":
        others = [s for s in SHAPES if s not in {t.kind for t in scene.things}]
        thing = replace(thing, kind=str(rng.choice(others)), angle=0.0)
    elif what == "digit":
        thing = replace(thing, kind=str(rng.choice([d for d in "0123456789" if d != thing.kind])))
    elif what == "position":
        half = thing.width * 0.55 * min(scene.width, scene.height)
        low_x, low_y = half / scene.width, half / scene.height
        for _ in range(30):
            x, y = rng.uniform(low_x, 1 - low_x), rng.uniform(low_y, 1 - low_y)
            if max(abs(x - thing.x), abs(y - thing.y)) > 0.3:
                break
        thing = at(thing, float(x), float(y))
    things = (*scene.things[:index], thing, *scene.things[index + 1 :])
    fresh = replace(scene, things=things)
    if what == "color":
        fresh = replace(fresh, background=background_for((*scene.things, *things), rng))
    return fresh


def _change(rng: np.random.Generator, base: int) -> tuple[list[Scene], list[Step]]:
    """Two pictures of the same things with one difference, or none."""
    scene = sample_scene(_distinct(int(rng.integers(1, 4)), rng), rng)
    index = int(rng.integers(len(scene.things)))
    digit = scene.things[index].is_digit
    what = str(rng.choice(["color", "digit" if digit else "shape", "position", "nothing"]))
    after = scene if what == "nothing" else _changed(scene, what, index, rng)
    if what == "color":
        scene = replace(scene, background=after.background)
    elif what == "nothing" and rng.random() < 0.5:
        after = replace(scene, background=background_for(scene.things, rng))
    return [scene, after], [Step(base, base + 1, what, -1 if what == "nothing" else index)]


def _series(rng: np.random.Generator) -> Album:
    scenes: list[Scene] = []
    steps: list[Step] = []
    while len(scenes) < PICTURES:
        left = PICTURES - len(scenes)
        if rng.random() < 0.4 and left >= 3:
            more, known = _movement(rng, int(rng.integers(2, min(4, left) + 1)), len(scenes))
        elif left >= 2:
            more, known = _change(rng, len(scenes))
        else:
            more, known = [sample_scene(_distinct(2, rng), rng)], []
        scenes += more
        steps += known
    return Album(tuple(scenes), tuple(steps))


def _crowd(rng: np.random.Generator) -> Album:
    """Pictures full of things, for the vision stage only: five times more to learn per tile."""
    scenes = []
    for _ in range(PICTURES):
        colors = [str(c) for c in rng.choice(COLORS, size=3, replace=False)]
        count = int(rng.integers(6, 12))
        wanted = [(sample_kind(rng, 0.4), str(rng.choice(colors))) for _ in range(count)]
        scenes.append(sample_scene(wanted, rng, largest=0.3))
    return Album(tuple(scenes), ())


def sample_album(seed: int, only: str | None = None) -> Album:
    """The album with that number: loose pictures, a grid of rivals, or series; or of one sort."""
    rng = np.random.default_rng([seed, 20260])
    if only is not None:
        return {"crowd": _crowd, "series": _series}[only](rng)
    kind = rng.choice(3, p=[0.35, 0.4, 0.25])
    return (_loose, _grid, _series)[int(kind)](rng)
