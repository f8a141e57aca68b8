"""Puts a sentence or a note before a question, in one text with it. Training only.

Whoever asks says first what the pictures are, or what was answered before: that must not change
the answer, unless the question is about the note.
"""

import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np

from pocket.questions.story import Question, Story
from pocket.questions.wordings import word
from pocket.words import NAMES

SHARE = 0.25  # of the questions of a training step
NOTED = 0.4  # of these: with a note, or two
ABOUT_IT = 0.2  # of these: the question asks for what the note says

BEFORE: tuple[str, ...] = tuple(
    tomllib.loads(Path(__file__).with_name("contexts.toml").read_text(encoding="utf-8"))["before"]
)


def preface(question: Question, story: Story, rng: np.random.Generator) -> Question:
    """The question about the story, SHARE of the time with something before it."""
    if rng.random() >= SHARE:
        return question
    if rng.random() < NOTED:
        return _noted(question, story, rng)
    way = BEFORE[int(rng.integers(len(BEFORE)))]
    pictures = len(story.scenes)
    said = way.format(n=pictures, k=story.number(int(rng.integers(pictures))))
    return replace(question, text=f"{said} {question.text}")


def _noted(question: Question, story: Story, rng: np.random.Generator) -> Question:
    taken = {note.name for note in story.notes}  # of them no other value may be told
    free = [name for name in NAMES if name not in taken and name != question.name]
    names = rng.choice(len(free), size=int(rng.integers(1, 3)), replace=False)
    values = {free[i]: str(rng.integers(10)) for i in names}
    said = " ".join(word("note", rng, name=name, digit=value) for name, value in values.items())
    if rng.random() < ABOUT_IT:
        name = str(rng.choice(list(values)))
        text = f"{said} {word('needle', rng, name=name)}"
        return Question("needle", text, values[name], (0,), name=name)
    return replace(question, text=f"{said} {question.text}")
