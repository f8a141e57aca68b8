"""Wordings that were not trained against trained ones: the same questions, said otherwise.

`python -m tests.pocket.unseen_exam [FOLDER]` prints the table.
"""

import sys
from dataclasses import replace

import numpy as np

from pocket import weights_folder
from pocket.card import load
from pocket.exam import LINKED_TASKS, Mark, held_out, mark
from pocket.features import Pages
from pocket.model import Model
from pocket.questions.story import Question
from pocket.questions.wordings import name_thing
from pocket.sheets import collate
from pocket.stories import WEIGHTS, Sheet, compose, sample_questions
from tests.pocket.unseen_wordings import STRANGERS, UNSEEN

COUNTS, ALBUMS, FIRST, STORIES, EACH, SEED = (4, 6), 240, 50_000, 100, 6, 9


def say(question: Question, ways: tuple[str, ...], rng: np.random.Generator) -> str | None:
    """The question in one of these ways; None where it has no slots for them."""
    way = ways[int(rng.integers(len(ways)))]
    slots: dict[str, str | None] = {"shape": question.kind, "color": question.color}
    slots |= {"name": question.name, **dict(zip("kj", question.numbers, strict=False))}
    if question.kind or question.color:
        slots["thing"] = name_thing(question.kind, question.color, rng)
    wanted = [
        slot for slot in ("thing", "shape", "color", "name", "k", "j") if f"{{{slot}}}" in way
    ]
    return way.format(**slots) if all(slots.get(slot) for slot in wanted) else None


def asked_in_all_ways(model: Model, pages: Pages, task: str) -> tuple[list[Mark], ...]:
    """Marks of trained wordings, of unseen ones, of a stranger's; place by place one question."""
    words = "find" if task.startswith("find") else task
    columns: tuple[list[Mark], ...] = ([], [], [])
    for count in COUNTS:
        rng = np.random.default_rng([SEED, count])
        for _ in range(STORIES):
            story, chosen = compose(pages.albums, count, rng)
            while task in LINKED_TASKS and not story.links:
                story, chosen = compose(pages.albums, count, rng)
            questions = []
            for one in sample_questions(story, EACH, rng, {task: 1.0}):
                said = [say(one, ways[words], rng) for ways in (UNSEEN, STRANGERS)]
                if all(said):
                    questions += [one, *(replace(one, text=text) for text in said if text)]
            if questions:
                marks = mark(model, collate([(Sheet(story, chosen, tuple(questions)), pages)]))
                for i, column in enumerate(columns):
                    column.extend(marks[i::3])
    return columns


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
    """Print the shares right, and what unseen wordings add to the trained ones, in points."""
    model = load(sys.argv[1] if len(sys.argv) > 1 else weights_folder())
    pages = held_out(model, ALBUMS, FIRST)
    series = held_out(model, ALBUMS, FIRST, only="series")
    print("| task | questions | trained | unseen | points | a stranger's | points |")
    print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
    for task in WEIGHTS:
        drawn = series if task in LINKED_TASKS else pages
        trained, unseen, strange = asked_in_all_ways(model, drawn, task)
        print(
            f"| {task} | {len(trained)} | {share(trained):.3f} "
            f"| {share(unseen):.3f} | {gain(unseen, trained)} "
            f"| {share(strange):.3f} | {gain(strange, trained)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
