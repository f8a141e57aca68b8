"""Examines a checkpoint on pictures it never saw: whole answers, greedy, one question each.

Questions are scored side by side; each sees the pictures and itself alone, as when asked singly.
Knows no training.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from pocket.albums import PICTURES, Album, sample_album
from pocket.draw import draw
from pocket.features import Pages
from pocket.labels import label
from pocket.model import Model
from pocket.questions.story import Question, Story
from pocket.reader import answer_logits, run_layers
from pocket.sheets import IGNORE, Batch, collate
from pocket.stories import WEIGHTS, Sheet, compose, sample_questions
from pocket.tiles import PER_TILE, cut
from pocket.words import VOCABULARY

HELD_OUT = 1 << 30  # albums from this number on are never trained on
LINKED_TASKS = frozenset({"change", "move"})
PLACED = frozenset(WEIGHTS) - {"count", "exist any"}  # whose evidence has a position
EVEN = dict.fromkeys(WEIGHTS, 1.0) | {"needle": 3.0, "change": 2.0, "move": 3.0}


@dataclass(frozen=True, slots=True)
class Mark:
    """One question's outcome; `picture` is where its evidence lies (counted from 1), if in one.

    `evidence` is the same for questions about the same pictures.
    """

    task: str
    pictures: int
    picture: int | None
    right: bool
    text: str = ""
    answer: str = ""
    said: str = ""
    evidence: Hashable = None


def _any(story: Story, question: Question) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Asking:
    """What an exam asks: tasks by weight, with or without pictures, all questions or some."""

    weights: Mapping[str, float] = field(default_factory=lambda: EVEN)
    blind: bool = False
    keep: Callable[[Story, Question], bool] = _any
    each: int = 24  # questions about a story, at most


@torch.no_grad()
def encode(
    model: Model, albums: list[Album], pictures: Sequence[Image.Image], labelled: bool = True
) -> Pages:
    """Features of an album list's pictures, in order."""
    tiles = [cut(picture) for picture in pictures]
    start = np.cumsum([0] + [len(t) for t in tiles])
    stacked = np.concatenate(tiles)
    parts = []
    for at in range(0, len(stacked), 256):
        pixels = torch.from_numpy(stacked[at : at + 256]).permute(0, 3, 1, 2).float() / 127.5 - 1
        hidden = model.model.vision_tower(pixel_values=pixels).last_hidden_state
        parts.append(hidden[:, 1:].numpy())
    scenes = [scene for album in albums for scene in album.scenes]
    if labelled:
        thing = np.concatenate([label(scene).thing for scene in scenes])
    else:
        thing = np.full((len(stacked), PER_TILE), -1, np.int8)
    return Pages(np.concatenate(parts), thing, start, albums)


def held_out(model: Model, albums: int, first: int = 0, only: str | None = None) -> Pages:
    """Pages of freshly drawn albums out of the held-out range; `only`: all of that sort."""
    drawn = [sample_album(HELD_OUT + first + i, only) for i in range(albums)]
    pictures = [draw(scene) for album in drawn for scene in album.scenes]
    return encode(model, drawn, pictures)


@torch.no_grad()
def mark(model: Model, batch: Batch) -> list[Mark]:
    """Outcome of every question of a batch."""
    hidden = None
    for layer in run_layers(model, batch):
        hidden = layer.output
    assert hidden is not None
    said = torch.full_like(batch.target, IGNORE)
    scored = batch.target != IGNORE
    said[scored] = answer_logits(model, hidden[scored]).argmax(1)
    marks = []
    for story, row, question in batch.replies:
        own = (batch.which[story] == batch.which[story, row]) & scored[story]
        right = bool((said[story] == batch.target[story])[own].all())
        marks.append(_mark(batch.stories[story], question, right, said[story][own].tolist()))
    return marks


def _mark(story: Story, question: Question, right: bool, said: list[int]) -> Mark:
    place = question.pictures[-1] + 1 if question.pictures else None
    if question.task not in PLACED:
        place = None
    words = " ".join(VOCABULARY[i] for i in said if i < len(VOCABULARY))
    shown = tuple(story.scenes[p] for p in question.pictures)
    return Mark(
        question.task, len(story.scenes), place, right, question.text, question.answer, words, shown
    )


def examine(
    model: Model,
    pages: Pages,
    counts: Iterable[int],
    stories: int,
    seed: int,
    asking: Asking | None = None,
) -> list[Mark]:
    """Marks of `stories` stories per number of pictures; only linked ones where weights ask so."""
    asking = asking or Asking()
    linked = set(asking.weights) <= LINKED_TASKS
    if linked and not any(album.steps for album in pages.albums):
        raise ValueError("no album holds a change or a movement to ask about: draw more albums")
    marks = []
    for count in counts:
        rng = np.random.default_rng([seed, count])
        for _ in range(0, stories, 4):
            sheets = []
            for _ in range(4):
                story, chosen = compose(pages.albums, count, rng)
                while linked and not story.links:
                    story, chosen = compose(pages.albums, count, rng)
                asked = sample_questions(story, asking.each, rng, dict(asking.weights))
                asked = tuple(q for q in asked if asking.keep(story, q))
                if asked:
                    sheets.append((Sheet(story, chosen, asked), pages))
            if sheets:
                batch = collate(sheets)
                if asking.blind:
                    batch.visible &= batch.picture < 0
                marks += mark(model, batch)
    return marks


def table(marks: list[Mark]) -> dict[str, dict[str, tuple[float, int]]]:
    """Task -> number of pictures -> (share right, questions)."""
    cells: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for one in marks:
        cells[one.task][str(one.pictures)].append(one.right)
    return {
        task: {n: (sum(v) / len(v), len(v)) for n, v in row.items()} for task, row in cells.items()
    }


def show(marks: list[Mark]) -> str:
    """The table as text."""
    result = table(marks)
    counts = sorted({m.pictures for m in marks})
    lines = ["| task | " + " | ".join(f"{n}" for n in counts) + " |"]
    lines.append("|---" * (len(counts) + 1) + "|")
    for task in WEIGHTS:
        if task in result:
            row = [
                f"{result[task][str(n)][0]:.2f}" if str(n) in result[task] else "" for n in counts
            ]
            lines.append(f"| {task} | " + " | ".join(row) + " |")
    return "\n".join(lines)


__all__ = ["HELD_OUT", "PICTURES", "Mark", "encode", "examine", "held_out", "mark", "show", "table"]
