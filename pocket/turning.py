"""An exam of positions: every story is asked once with its pictures at each place of the row.

All pictures move on by one, the last becomes the first, and the same questions are asked again.
So each question's evidence stands at every position once, among the same rivals, and positions
are compared on equal pictures. Knows no training and no goals.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from pocket.exam import Mark, mark
from pocket.features import Pages
from pocket.model import Model
from pocket.questions.story import Question, Story
from pocket.sheets import collate
from pocket.stories import FLIP, Sheet, compose, sample_questions

NUMBERED = re.compile(r"(?i)\b(images? )(\d+)(?:( and )(\d+))?\b")
ABREAST = 4  # sheets run together


def turn(story: Story, by: int) -> Story:
    """The story with picture i at place i + by, around; notes stay before their picture.

    A note after the last picture goes with the first: it stands before that one.
    """
    count = len(story.scenes)
    scenes = tuple(story.scenes[(i - by) % count] for i in range(count))
    notes = tuple(replace(note, place=(note.place + by) % count) for note in story.notes)
    return Story(scenes, tuple(sorted(notes, key=lambda note: note.place)), (), story.offset)


def turn_question(question: Question, story: Story, by: int) -> Question:
    """The same question about the turned story: other numbers, in the text or as the answer.

    A question that named the earlier of two pictures first still does; a movement is then the
    other way round where the two have changed places. It has no pointers.
    """
    count = len(story.scenes)
    places = tuple((p + by) % count for p in question.pictures)
    answer = question.answer
    if question.task.startswith("find"):
        answer = story.number(places[0])
    elif len(places) == 2 and _ascends(places) != _ascends(question.pictures):
        places, answer = places[::-1], FLIP.get(answer, answer)
    numbers = tuple(story.number(p) for p in places) if question.numbers else ()
    text = renumber(question.text, dict(zip(question.numbers, numbers, strict=True)))
    return replace(
        question, text=text, answer=answer, pictures=places, numbers=numbers, pointers=()
    )


def _ascends(places: tuple[int, ...]) -> bool:
    return places[0] < places[1]


def renumber(text: str, new: dict[str, str]) -> str:
    """The text with its pictures' numbers exchanged; ValueError where one is not found in it."""
    missing = set(new)

    def exchange(found: re.Match[str]) -> str:
        lead, first, joint, second = found.groups()
        missing.difference_update({first, second})
        rest = f"{joint}{new.get(second, second)}" if second else ""
        return f"{lead}{new.get(first, first)}{rest}"

    changed = NUMBERED.sub(exchange, text)
    if missing:
        raise ValueError(f"no picture {sorted(missing)} in {text!r}")
    return changed


def examine_turned(
    model: Model,
    pages: Pages,
    counts: Iterable[int],
    stories: int,
    seed: int,
    asked: Mapping[str, int],
) -> list[Mark]:
    """Marks of `stories` stories per number of pictures, each turned through all its positions.

    `asked`: questions of each task about a story, at most. Evidence is the story and the pictures
    that hold it, wherever they stand.
    """
    marks = []
    for count in counts:
        rng = np.random.default_rng([seed, count])
        for number in range(stories):
            story, chosen = compose(pages.albums, count, rng)
            story = replace(turn(story, 0), links=story.links)
            questions = [
                question
                for task, each in asked.items()
                for question in sample_questions(story, each, rng, {task: 1.0})
            ]
            if not questions:
                continue
            sheets = []
            for by in range(count):
                turned = tuple(turn_question(q, story, by) for q in questions)
                pictures = tuple(chosen[(i - by) % count] for i in range(count))
                sheets.append((Sheet(turn(story, by), pictures, turned), pages))
            for at in range(0, count, ABREAST):
                answered = mark(model, collate(sheets[at : at + ABREAST]))
                for i, one in enumerate(answered):
                    about = questions[i % len(questions)].pictures
                    marks.append(replace(one, evidence=(count, number, about)))
    return marks
