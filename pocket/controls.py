"""Controls of the exam: whether the pictures answer, and whether more tiles than one help.

Knows no training.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocket.exam import Asking, Mark, examine
from pocket.features import Pages
from pocket.hall import Part, Sit, joined
from pocket.model import Model
from pocket.questions.story import Question, Story
from pocket.tiles import PER_TILE, tiling

COUNTS = [2, 4, 6, 8]
SMALL = 0.2  # of the shorter side
READ_BY_SIGHT = dict.fromkeys(("color", "shape", "digit", "find digit", "find shape"), 1.0)


@dataclass(frozen=True, slots=True)
class BasePages(Pages):
    """The same pictures with their base tile's tokens alone (`tiles: base`)."""

    def tokens(
        self, picture: int
    ) -> tuple[NDArray[np.float16], NDArray[np.int8], NDArray[np.bool_]]:
        """The first tile's features, thing labels, and no newline."""
        features, thing, newline = Pages.tokens(self, picture)
        return features[:PER_TILE], thing[:PER_TILE], newline[:PER_TILE]


def small_in_large(story: Story, question: Question) -> bool:
    """Whether the evidence is one small thing in a picture of two tiles beside the base one."""
    things = [place for _, groups in question.pointers for group in groups for place in group]
    if len(things) != 1:
        return False
    scene, thing = story.scenes[things[0][0]], story.thing(things[0])
    return tiling(scene.width, scene.height).tiles > 2 and thing.width < SMALL


def right(marks: list[Mark]) -> dict[str, float]:
    """Task -> share right."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for one in marks:
        hits[one.task].append(one.right)
    return {task: round(sum(h) / len(h), 3) for task, h in sorted(hits.items())}


def best_guess(marks: list[Mark]) -> dict[str, float]:
    """Task -> share of its most frequent answer: what a reader without pictures could reach.

    The answer may depend on how many pictures there are, which a blind reader knows.
    """
    answers: dict[tuple[str, int], Counter[str]] = defaultdict(Counter)
    for one in marks:
        answers[one.task, one.pictures][one.answer] += 1
    best: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (task, _), seen in answers.items():
        best[task][0] += seen.most_common(1)[0][1]
        best[task][1] += seen.total()
    return {task: round(top / asked, 3) for task, (top, asked) in sorted(best.items())}


def on_base(part: Part, model: Model, pages: Pages) -> list[Mark]:
    """The same part of an exam without the finer tiles."""
    return part(model, BasePages(pages.features, pages.thing, pages.start, pages.albums))


def controls(sit: Sit, stories: int, seed: int) -> dict[str, Any]:
    """The card's controls: blind accuracy beside the best guess, tiles beside the base tile."""
    small = Asking(READ_BY_SIGHT, keep=small_in_large)
    parts: list[list[Part]] = [[], [], []]
    for count in COUNTS:
        unseen = partial(
            examine, counts=[count], stories=stories, seed=seed, asking=Asking(blind=True)
        )
        seen = partial(examine, counts=[count], stories=2 * stories, seed=seed, asking=small)
        for own, part in zip(parts, (unseen, seen, partial(on_base, seen)), strict=True):
            own.append(part)
    done = sit([part for own in parts for part in own])
    size = len(COUNTS)
    blind, tiled, bare = (joined(done[at : at + size]) for at in range(0, len(done), size))
    return {
        "blind": right(blind),
        "guess": best_guess(blind),
        "tiles": {"all": right(tiled), "base": right(bare), "questions": len(tiled)},
    }
