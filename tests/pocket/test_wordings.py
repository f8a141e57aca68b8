"""The trained wordings, as the model reads them: spellings folded."""

import re
from collections import defaultdict

import numpy as np

from pocket.questions.rephrasing import WIDER, rephrase
from pocket.questions.story import Question
from pocket.questions.wordings import WORDINGS
from pocket.sheets import ids_of


def test_no_wording_stands_for_two_tasks() -> None:
    """The answer would be a guess: "written" and "shown" fold, and one may ask for all there is."""
    slots = {"thing": "ring", "shape": "ring", "color": "red"}
    slots |= {"k": "2", "j": "3", "name": "amber", "digit": "7"}
    tasks = defaultdict(set)
    for ways in (WORDINGS, WIDER):
        for task, way in ((task, way) for task, own in ways.items() for way in own):
            tasks[ids_of(way.format(**slots))].add(task)
    assert [found for found in tasks.values() if len(found) > 1] == []


def test_every_wording_of_a_task_has_its_slots() -> None:
    for task, documented in WORDINGS.items():
        wanted = sorted(re.findall(r"\{\w+\}", documented[0]))
        for way in (*documented, *WIDER.get(task, ())):
            assert sorted(re.findall(r"\{\w+\}", way)) == wanted, task


def test_a_question_said_otherwise_asks_the_same() -> None:
    """Its things, names and numbers are said; what no way can say stays as it is."""
    rng = np.random.default_rng(0)
    move = Question("move", "?", "left", (1, 2), "star", None, ("2", "3"))
    needle = Question("needle", "?", "7", (0,), name="amber")
    for question, words in ((move, ("star", "2", "3")), (needle, ("amber",))):
        said = {rephrase(question, rng) for _ in range(100)} - {"?"}
        assert len(said) > 20
        assert all(word in one for one in said for word in words)
    whether_any = Question("exist", "Is there a digit in image 2?", "yes", (1,), numbers=("2",))
    assert {rephrase(whether_any, rng) for _ in range(50)} == {whether_any.text}
