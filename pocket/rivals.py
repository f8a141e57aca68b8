"""Two checkpoints on the same held-out questions: what a new release gained and lost.

Knows no training.
"""

from collections import defaultdict
from typing import Any

from pocket.exam import LINKED_TASKS, Asking, Mark, examine, held_out
from pocket.model import Model

COUNTS = [3, 6, 9, 12]
ALBUMS, FIRST_ALBUM, STORIES = 80, 30_000, 32
SHOWN = 2  # answers of each task on which the two differ


def _marks(model: Model, seed: int, albums: int, stories: int) -> list[Mark]:
    pages = held_out(model, albums, FIRST_ALBUM)
    linked = Asking(dict.fromkeys(LINKED_TASKS, 1.0))
    marks = examine(model, pages, COUNTS, stories, seed)
    return marks + examine(model, pages, COUNTS, stories, seed, linked)


def compare(
    old: Model, new: Model, seed: int, albums: int = ALBUMS, stories: int = STORIES
) -> dict[str, Any]:
    """Per task: questions, shares right, how many only one of them answers; and a few answers."""
    pairs = list(zip(*(_marks(m, seed, albums, stories) for m in (old, new)), strict=True))
    if any(a.text != b.text for a, b in pairs):
        raise AssertionError("the two checkpoints were asked different questions")
    by_task: dict[str, list[tuple[Mark, Mark]]] = defaultdict(list)
    for pair in pairs:
        by_task[pair[0].task].append(pair)
    tasks, answers = {}, []
    for task, own in sorted(by_task.items()):
        tasks[task] = {
            "questions": len(own),
            "old": round(sum(a.right for a, _ in own) / len(own), 3),
            "new": round(sum(b.right for _, b in own) / len(own), 3),
            "only_old": sum(a.right and not b.right for a, b in own),
            "only_new": sum(b.right and not a.right for a, b in own),
        }
        for one, other in [p for p in own if p[0].said != p[1].said][:SHOWN]:
            answers.append(
                {"task": task, "pictures": one.pictures, "question": one.text,
                 "answer": one.answer, "old": _bare(one.said), "new": _bare(other.said)}
            )  # fmt: skip
    return {"tasks": tasks, "answers": answers}


def _bare(said: str) -> str:
    return said.replace("</s>", "").strip()
