"""Composes stories out of drawn albums and asks questions about them.

Knows which picture of which shard it took; nothing of features, tokens or models.
"""

from dataclasses import dataclass, replace

import numpy as np

from pocket.albums import PICTURES, Album
from pocket.questions.asking import ask
from pocket.questions.loosening import loosen
from pocket.questions.prefacing import preface
from pocket.questions.rephrasing import rephrase
from pocket.questions.story import Link, Note, Question, Story
from pocket.questions.wordings import word
from pocket.words import NAMES

WEIGHTS = {
    "find": 0.1,
    "find color": 0.04,
    "find shape": 0.06,
    "find digit": 0.12,
    "color": 0.06,
    "shape": 0.1,
    "digit": 0.12,
    "exist": 0.14,
    "exist any": 0.07,
    "count": 0.35,
    "describe": 0.35,
    "needle": 0.25,
    "change": 0.7,
    "move": 0.25,
}
FLIP = {"left": "right", "right": "left", "up": "down", "down": "up"}
HIGHEST_NUMBER = 12
LINKED = 0.5  # share of stories that are to hold a change or a movement


@dataclass(frozen=True, slots=True)
class Sheet:
    """A story, where its pictures lie in the shard, and its questions."""

    story: Story
    pictures: tuple[int, ...]
    questions: tuple[Question, ...]


def _links(album: Album, chosen: list[int]) -> tuple[Link, ...]:
    """Steps of the album whose two pictures were chosen, in the story's order."""
    links = []
    for step in album.steps:
        if step.first in chosen and step.second in chosen:
            first, second = chosen.index(step.first), chosen.index(step.second)
            what = step.what
            if first > second:
                first, second, what = second, first, FLIP.get(what, what)
            links.append(Link(first, second, what, step.thing))
    return tuple(links)


def sample_notes(pictures: int, rng: np.random.Generator) -> tuple[Note, ...]:
    """A few notes with different names, anywhere between the pictures."""
    count = int(rng.integers(1, 6))
    names = rng.choice(len(NAMES), size=count, replace=False)
    notes = []
    for i in names:
        value = str(rng.integers(10))
        said = word("note", rng, name=NAMES[i], digit=value)
        notes.append(Note(int(rng.integers(pictures + 1)), NAMES[i], value, said))
    return tuple(sorted(notes, key=lambda n: n.place))


def compose(
    albums: list[Album], count: int, rng: np.random.Generator, renumber: bool = False
) -> tuple[Story, tuple[int, ...]]:
    """A story of `count` pictures, and their indices in the shard."""
    links: tuple[Link, ...] = ()
    if rng.random() < 0.65:
        a = int(rng.integers(len(albums)))
        album = albums[a]
        if album.steps:
            start = int(rng.integers(PICTURES - count + 1))
            chosen = list(range(start, start + count))
            if rng.random() < 0.35:
                chosen = [int(i) for i in rng.permutation(chosen)]
            links = _links(album, chosen)
        else:
            chosen = [int(i) for i in rng.permutation(PICTURES)[:count]]
        pictures = tuple(a * PICTURES + i for i in chosen)
    else:
        pictures = tuple(int(i) for i in rng.choice(len(albums) * PICTURES, count, replace=False))
    scenes = tuple(albums[p // PICTURES].scenes[p % PICTURES] for p in pictures)
    notes = sample_notes(count, rng) if rng.random() < 0.35 else ()
    offset = 0
    if renumber and count < HIGHEST_NUMBER and rng.random() < 0.35:
        offset = int(rng.integers(HIGHEST_NUMBER - count + 1))
    return Story(scenes, notes, links, offset), pictures


def sample_questions(
    story: Story, count: int, rng: np.random.Generator, weights: dict[str, float] | None = None
) -> tuple[Question, ...]:
    """Different questions about the story, tasks drawn by weight; none where it has no such."""
    weights = dict(weights or WEIGHTS)
    if not story.notes:
        weights.pop("needle", None)
    if not story.links:
        weights.pop("change", None)
        weights.pop("move", None)
    if not weights:
        return ()
    tasks, shares = list(weights), np.array(list(weights.values()))
    questions: dict[str, Question] = {}
    for _ in range(count * 3):
        task = tasks[int(rng.choice(len(tasks), p=shares / shares.sum()))]
        question = ask(task, story, rng, tries=3)
        if question is not None:
            questions.setdefault(question.text, question)
        if len(questions) == count:
            break
    return tuple(questions.values())


def sample_sheet(albums: list[Album], count: int, asked: int, rng: np.random.Generator) -> Sheet:
    """A story with `asked` questions at most."""
    story, pictures = compose(albums, count, rng, renumber=True)
    wanted = rng.random() < LINKED
    for _ in range(6):  # few albums are series: without this, movement is seldom asked
        if story.links or not wanted:
            break
        story, pictures = compose(albums, count, rng, renumber=True)
    questions = sample_questions(story, asked, rng)
    loose = (replace(q, text=loosen(rephrase(q, rng), rng)) for q in questions)
    return Sheet(story, pictures, tuple(preface(question, story, rng) for question in loose))
