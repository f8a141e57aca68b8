"""The trained wordings, as the model reads them: spellings folded."""

import re
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from pocket.questions.prefacing import BEFORE, preface
from pocket.questions.rephrasing import CHECKS, WIDER, rephrase, say
from pocket.questions.story import Note, Question, Story
from pocket.questions.wordings import WORDINGS
from pocket.scene import sample_scene
from pocket.sheets import ids_of
from pocket.words import COLORS, NAMES
from tests.pocket import unseen_sentences, unseen_talk
from tests.pocket.unseen_wordings import NEWCOMERS, STRANGERS, UNSEEN

SLOTS = {"thing": "ring", "shape": "ring", "color": "red", "k": "2", "j": "3"}
SLOTS |= {"name": "amber", "digit": "7", "n": "4"}


def test_no_wording_stands_for_two_tasks() -> None:
    """The answer would be a guess: "written" and "shown" fold, and one may ask for all there is."""
    tasks = defaultdict(set)
    for ways in (WORDINGS, WIDER):
        for task, way in ((task, way) for task, own in ways.items() for way in own):
            tasks[ids_of(way.format(**SLOTS))].add(task)
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


def test_the_exams_rows_are_not_trained() -> None:
    """As the model reads them, spellings folded."""
    trained = {ids_of(way.format(**SLOTS)) for ways in (WORDINGS, WIDER) for way in _rows(ways)}
    for asked in (UNSEEN, STRANGERS, NEWCOMERS, unseen_sentences.TWOFOLD, unseen_talk.TALK):
        assert [way for way in _rows(asked) if ids_of(way.format(**SLOTS)) in trained] == []
    before = {ids_of(way.format(**SLOTS)) for way in BEFORE}
    for said in (*unseen_sentences.BEFORE, *unseen_talk.OPENINGS):
        assert ids_of(said.format(**SLOTS)) not in before, said


def _rows(ways: Mapping[str, tuple[str, ...]]) -> list[str]:
    return [way for own in ways.values() for way in own]


def test_a_check_names_the_answer() -> None:
    """What may be the answer is named in any order; the right word among it, or not."""
    rng = np.random.default_rng(0)
    color = Question("color", "?", "red", (1,), "star", None, ("2",))
    said = [say(color, CHECKS, rng) for _ in range(200)]
    assert all(one and "{" not in one and "star" in one for one in said)
    named = [sum(word in str(one) for word in COLORS) for one in said]
    assert set(named) == {1, 2, 3}
    right = sum("red" in str(one) for one in said) / len(said)
    assert 0.8 < right < 1, "else the word that is named would be the answer, always"


def test_what_stands_before_a_question_changes_no_answer() -> None:
    """Unless it is asked for: then the note says the value, and no other note of that name does."""
    rng = np.random.default_rng(0)
    notes = tuple(Note(0, name, "5", f"Note: {name} is 5.") for name in NAMES[:40])
    story = Story(tuple(sample_scene([("star", "red")], rng) for _ in range(4)), notes, offset=3)
    own = Question("needle", f"What is {NAMES[0]}?", "5", (0,), name=NAMES[0])
    about_it = longer = 0
    for _ in range(600):
        asked = preface(own, story, rng)
        longer += asked.text != own.text
        if asked.name == own.name:
            assert asked.text.endswith(own.text)
            assert (asked.task, asked.answer) == (own.task, own.answer)
            assert "{" not in asked.text
        else:
            about_it += 1
            assert asked.name not in NAMES[:40]
            assert asked.answer in asked.text
            assert asked.text.count(str(asked.name)) == 2
    assert 90 < longer < 210
    assert 2 < about_it < 30
