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
from tests.pocket.unseen_wordings import UNSEEN

COUNTS, ALBUMS, FIRST, STORIES, EACH, SEED = [4, 6], 120, 50_000, 36, 8, 9


def asked_both_ways(model: Model) -> dict[str, tuple[list[Mark], list[Mark]]]:
    """Task -> marks of unseen and of trained wordings."""
    pages = held_out(model, ALBUMS, FIRST)
    series = held_out(model, ALBUMS, FIRST, only="series")
    found = {}
    for task in WEIGHTS:
        words = "find" if task.startswith("find") else task
        drawn = series if task in LINKED_TASKS else pages
        asking = Asking({task: 1.0}, each=EACH)
        trained = examine(model, drawn, COUNTS, STORIES, SEED, asking)
        with patch.dict(WORDINGS, {words: UNSEEN[words]}):
            unseen = examine(model, drawn, COUNTS, STORIES, SEED, asking)
        found[task] = (unseen, trained)
    return found


def share(marks: list[Mark]) -> float:
    """Share right."""
    return sum(one.right for one in marks) / len(marks)


def main() -> None:
    """Print unseen, trained and their difference in points."""
    model = load(sys.argv[1] if len(sys.argv) > 1 else weights_folder())
    print("| task | questions | unseen | trained | points |\n|---|--:|--:|--:|--:|")
    for task, (unseen, trained) in asked_both_ways(model).items():
        gain = 100 * (share(unseen) - share(trained))
        print(
            f"| {task} | {len(unseen)} | {share(unseen):.3f} | {share(trained):.3f} | {gain:+.1f} |"
        )


if __name__ == "__main__":
    main()
