"""Drawing: same scene, same pixels; everything stays inside and can be seen."""

from dataclasses import replace

import numpy as np
import pytest

from pocket.albums import PICTURES, sample_album
from pocket.colors import ANCHORS, distance, sample_shade
from pocket.draw import draw
from pocket.glyphs import CELL, faces, glyph
from pocket.scene import sample_scene
from pocket.words import COLORS, SHAPES


@pytest.mark.parametrize("seed", range(6))
def test_same_seed_same_pixels(seed: int) -> None:
    first, second = sample_album(seed), sample_album(seed)
    assert first == second
    for one, other in zip(first.scenes, second.scenes, strict=True):
        assert draw(one).tobytes() == draw(other).tobytes()


def test_other_seed_other_pictures() -> None:
    assert sample_album(1) != sample_album(2)


def test_things_stay_inside() -> None:
    for seed in range(30):
        for scene in sample_album(seed).scenes:
            short = min(scene.width, scene.height)
            for thing in scene.things:
                half = thing.width * short / 2
                assert half * 0.9 <= thing.x * scene.width <= scene.width - half * 0.9
                assert half * 0.9 <= thing.y * scene.height <= scene.height - half * 0.9


def test_every_thing_changes_the_picture() -> None:
    rng = np.random.default_rng(3)
    for kind in (*SHAPES, "0", "7"):
        scene = replace(sample_scene([(kind, "red")], rng), jpeg=0)
        with_it = np.asarray(draw(scene), int)
        without = np.asarray(draw(replace(scene, things=())), int)
        assert (abs(with_it - without).sum(2) > 60).sum() > 15, kind


def test_shades_are_nearest_their_own_name() -> None:
    rng = np.random.default_rng(0)
    for color in COLORS:
        for _ in range(50):
            shade = sample_shade(color, rng)
            nearest = min(COLORS, key=lambda c: min(distance(shade, a) for a in ANCHORS[c]))
            assert nearest == color


def test_albums_have_a_dozen_pictures_and_true_steps() -> None:
    seen = set()
    for seed in range(60):
        album = sample_album(seed)
        assert len(album.scenes) == PICTURES
        for step in album.steps:
            before, after = album.scenes[step.first], album.scenes[step.second]
            seen.add(step.what)
            if step.what == "nothing":
                assert before.things == after.things
                continue
            one, other = before.things[step.thing], after.things[step.thing]
            differs = {
                "color": one.color != other.color,
                "shape": one.kind != other.kind,
                "digit": one.kind != other.kind,
                "position": abs(one.x - other.x) + abs(one.y - other.y) > 0.2,
                "left": other.x < one.x,
                "right": other.x > one.x,
                "up": other.y < one.y,
                "down": other.y > one.y,
            }
            assert differs[step.what], (seed, step)
    assert len(seen) == 9


def test_atlas_holds_ten_different_digits_per_face() -> None:
    assert faces() >= 15
    for face in range(faces()):
        cells = {glyph(digit, face).tobytes() for digit in range(10)}
        assert len(cells) == 10
        assert glyph(3, face).size == (CELL, CELL)
