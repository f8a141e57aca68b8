"""Wordings that were not trained against trained ones, about the same pictures, task by task.

`python -m tests.pocket.unseen_exam [FOLDER]` prints the table.
"""

import sys
from unittest.mock import patch

from pocket import weights_folder
from pocket.card import load
from pocket.exam import LINKED_TASKS, Asking, Mark, examine, held_out
from pocket.model import Model
from pocket.questions.wordings import WORDINGS
from pocket.stories import WEIGHTS
from tests.pocket.unseen_wordings import STRANGERS, UNSEEN

COUNTS, ALBUMS, FIRST, STORIES, EACH, SEED = [4, 6], 120, 50_000, 36, 8, 9


def asked_in_all_ways(model: Model) -> dict[str, tuple[list[Mark], ...]]:
    """Task -> marks of trained wordings, of unseen ones, of a stranger's."""
    pages = held_out(model, ALBUMS, FIRST)
    series = held_out(model, ALBUMS, FIRST, only="series")
    found = {}
    for task in WEIGHTS:
        words = "find" if task.startswith("find") else task
        drawn = series if task in LINKED_TASKS else pages
        asking = Asking({task: 1.0}, each=EACH)
        columns = []
        for ways in (WORDINGS, UNSEEN, STRANGERS):
            with patch.dict(WORDINGS, {words: ways[words]}):
                columns.append(examine(model, drawn, COUNTS, STORIES, SEED, asking))
        found[task] = tuple(columns)
    return found


def share(marks: list[Mark]) -> float:
    """Share right."""
    return sum(one.right for one in marks) / len(marks)


def main() -> None:
    """Print the shares right, and what unseen wordings add to the trained ones, in points."""
    model = load(sys.argv[1] if len(sys.argv) > 1 else weights_folder())
    print("| task | questions | trained | unseen | points | a stranger's | points |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for task, columns in asked_in_all_ways(model).items():
        trained, unseen, strange = map(share, columns)
        print(
            f"| {task} | {min(map(len, columns))} | {trained:.3f} "
            f"| {unseen:.3f} | {100 * (unseen - trained):+.1f} "
            f"| {strange:.3f} | {100 * (strange - trained):+.1f} |"
        )


if __name__ == "__main__":
    main()
