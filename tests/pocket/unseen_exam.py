"""The card's wordings against others, most of them not trained: the same questions, said otherwise.

`python -m tests.pocket.unseen_exam [FOLDER]` prints the table.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from pocket import weights_folder
from pocket.exam import LINKED_TASKS, Mark, mark
from pocket.features import Pages
from pocket.hall import Drawing, open_hall
from pocket.model import Model
from pocket.questions.rephrasing import WIDER, Ways, say
from pocket.questions.story import Question, Story
from pocket.questions.wordings import word
from pocket.sheets import collate
from pocket.stories import WEIGHTS, Sheet, compose, sample_questions
from pocket.words import NAMES
from tests.pocket.unseen_sentences import BEFORE, TWOFOLD
from tests.pocket.unseen_talk import OPENINGS, TALK
from tests.pocket.unseen_wordings import NEWCOMERS, STRANGERS, UNSEEN

COUNTS, ALBUMS, FIRST, STORIES, EACH, SEED = (4, 6), 240, 50_000, 100, 6, 9
LISTS = {
    "wider lists": WIDER,
    "unseen": UNSEEN,
    "a stranger's": STRANGERS,
    "a newcomer's": NEWCOMERS,
}


def otherwise(ways: Ways, one: Question, _: Story, rng: np.random.Generator) -> str | None:
    """The question in one of the ways; None where it lacks what the way speaks of."""
    return say(one, ways, rng)


def after(rows: tuple[str, ...], one: Question, story: Story, rng: np.random.Generator) -> str:
    """The question behind a sentence that does not matter to it."""
    said = rows[int(rng.integers(len(rows)))]
    return f"{said.format(n=len(story.scenes))} {one.text}"


def after_a_note(one: Question, story: Story, rng: np.random.Generator) -> str:
    """The question behind a note about something else."""
    taken = {one.name, *(note.name for note in story.notes)}
    free = [name for name in NAMES if name not in taken]
    said = word("note", rng, name=str(rng.choice(free)), digit=str(rng.integers(10)))
    return f"{said} {one.text}"


MADE: dict[str, Callable[[Question, Story, np.random.Generator], str | None]] = {
    "two sentences": partial(otherwise, TWOFOLD),
    "as people talk": partial(otherwise, TALK),
    "after a sentence": partial(after, BEFORE),
    "after an opening": partial(after, OPENINGS),
    "after a note": after_a_note,
}
OTHERWISE = (*LISTS, *MADE)


def asked_in_all_ways(model: Model, pages: Pages, task: str) -> list[Mark]:
    """Marks of each question in a way of the card, then in one of every other list, in turn."""
    marks = []
    for count in COUNTS:
        rng, apart = np.random.default_rng([SEED, count]), np.random.default_rng([SEED, count, 1])
        for _ in range(STORIES):
            story, chosen = compose(pages.albums, count, rng)
            while task in LINKED_TASKS and not story.links:
                story, chosen = compose(pages.albums, count, rng)
            questions = []
            for one in sample_questions(story, EACH, rng, {task: 1.0}):
                said = [say(one, ways, rng) for ways in LISTS.values()]
                said += [make(one, story, apart) for make in MADE.values()]
                if all(said):
                    questions += [one, *(replace(one, text=text) for text in said if text)]
            if questions:
                marks += mark(model, collate([(Sheet(story, chosen, tuple(questions)), pages)]))
    return marks


def gain(new: list[Mark], old: list[Mark]) -> str:
    """Points gained, and the standard error, questions about the same pictures taken together."""
    apart = np.array([float(n.right) - float(o.right) for n, o in zip(new, old, strict=True)])
    names = {one.evidence: i for i, one in enumerate(old)}
    rest = np.bincount([names[one.evidence] for one in old], apart - apart.mean())
    return f"{100 * apart.mean():+.1f} ± {100 * np.sqrt((rest**2).sum()) / len(apart):.1f}"


def share(marks: list[Mark]) -> float:
    """Share right."""
    return sum(one.right for one in marks) / len(marks)


def main() -> None:
    """Print the shares right, and what other wordings add to the card's, in points."""
    weights = Path(sys.argv[1]) if len(sys.argv) > 1 else weights_folder()
    print("| task | questions | of the card |", *(f"{name} | points |" for name in OTHERWISE))
    print("|---|--:|--:|" + "--:|--:|" * len(OTHERWISE), flush=True)
    with open_hall(weights, os.cpu_count() or 1) as hall:
        drawn = hall.draw(Drawing(ALBUMS, FIRST))
        series = hall.draw(Drawing(ALBUMS, FIRST, only="series"))
        mixed = [task for task in WEIGHTS if task not in LINKED_TASKS]
        linked = [task for task in WEIGHTS if task in LINKED_TASKS]
        for sit, tasks in ((drawn, mixed), (series, linked)):
            done = sit([partial(asked_in_all_ways, task=task) for task in tasks])
            for task, marks in zip(tasks, done, strict=True):
                trained, *others = (
                    marks[at :: 1 + len(OTHERWISE)] for at in range(1 + len(OTHERWISE))
                )
                cells = (f"{share(other):.3f} | {gain(other, trained)} |" for other in others)
                print(f"| {task} | {len(trained)} | {share(trained):.3f} |", *cells, flush=True)


if __name__ == "__main__":
    main()
