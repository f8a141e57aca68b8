"""The trained wordings, as the model reads them: spellings folded."""

import re
from collections import defaultdict

from pocket.questions.wordings import WORDINGS
from pocket.sheets import ids_of


def test_no_wording_stands_for_two_tasks() -> None:
    """The answer would be a guess: "written" and "shown" fold, and one may ask for all there is."""
    slots = {"thing": "ring", "shape": "ring", "color": "red"}
    slots |= {"k": "2", "j": "3", "name": "amber", "digit": "7"}
    tasks = defaultdict(set)
    for task, ways in WORDINGS.items():
        for way in ways:
            tasks[ids_of(way.format(**slots))].add(task)
    assert [found for found in tasks.values() if len(found) > 1] == []


def test_every_wording_of_a_task_has_its_slots() -> None:
    for task, ways in WORDINGS.items():
        wanted = sorted(re.findall(r"\{\w+\}", ways[0]))
        for way in ways:
            assert sorted(re.findall(r"\{\w+\}", way)) == wanted, task
