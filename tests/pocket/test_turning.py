"""Stories whose pictures move through all positions, and their questions with them."""

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest

from pocket import card, weights_folder
from pocket.albums import sample_album
from pocket.exam import HELD_OUT, held_out
from pocket.questions.wordings import WORDINGS
from pocket.stories import WEIGHTS, compose, sample_questions
from pocket.turning import examine_turned, renumber, turn, turn_question


def test_numbers_of_pictures_change_and_digits_do_not() -> None:
    assert renumber("Is the digit 3 in image 3?", {"3": "1"}) == "Is the digit 3 in image 1?"
    both = {"2": "4", "4": "5"}
    assert renumber("What changed from image 2 to image 4?", both) == (
        "What changed from image 4 to image 5?"
    )
    assert renumber("Images 2 and 4: which differ?", both) == "Images 4 and 5: which differ?"
    assert (
        renumber("What color is image 4's star?", {"4": "12"}) == "What color is image 12's star?"
    )
    with pytest.raises(ValueError, match="no picture"):
        renumber("What changed?", both)


@pytest.mark.parametrize("task", [t for t, ways in WORDINGS.items() if "{k}" in ways[0]])
def test_every_wording_can_be_renumbered(task: str) -> None:
    slots = {"thing": "digit 3", "color": "red", "shape": "star"}
    for way in WORDINGS[task]:
        said = renumber(
            way.format(k="3", j="5", **slots), {"3": "8", "5": "9"} if "{j}" in way else {"3": "8"}
        )
        assert said == way.format(k="8", j="9", **slots)


def fact(task: str, question: Any, story: Any) -> tuple[Any, ...]:
    """What a question is about whatever the numbers: the scenes shown, first named first."""
    return (
        task,
        question.kind,
        question.color,
        question.name,
        tuple(story.scenes[p] for p in question.pictures),
    )


@pytest.mark.parametrize("sort", [None, "series"])
def test_turned_questions_are_about_the_same_pictures(sort: str | None) -> None:
    """Answers are those that the scenes give; only movements turn round, with their pair."""
    albums = [sample_album(HELD_OUT + 900 + i, sort) for i in range(12)]
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    flipped = asked = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        story, _ = compose(albums, 5, rng)
        questions = sample_questions(story, 30, rng)
        for by in range(5):
            turned = turn(story, by)
            assert turned.scenes[(2 + by) % 5] == story.scenes[2]
            for question in questions:
                if question.task not in ("count", "exist any"):
                    new = turn_question(question, story, by)
                    before = fact(question.task, question, story)
                    now = fact(question.task, new, turned)
                    if question.task == "needle":  # a note may stand after the last picture
                        continue
                    asked += 1
                    if now != before:  # the pair is named the other way round
                        assert now == (*before[:-1], before[-1][::-1])
                        wanted = opposite.get(question.answer, question.answer)
                        flipped += question.answer in opposite
                    else:
                        wanted = question.answer
                    if question.task.startswith("find"):
                        wanted = str(new.pictures[0] + 1)
                    assert new.answer == wanted
                    if len(new.pictures) == 2:
                        ascending = new.pictures[0] < new.pictures[1]
                        assert ascending == (question.pictures[0] < question.pictures[1])
    assert asked > 1000
    assert (flipped > 10) == (sort == "series")


def test_notes_move_with_their_picture() -> None:
    albums = [sample_album(HELD_OUT + 950 + i) for i in range(3)]
    for seed in range(40):
        story, _ = compose(albums, 4, np.random.default_rng(seed))
        own = turn(story, 0)
        for by in range(4):
            for note in turn(story, by).notes:
                here = turn(story, by).scenes[note.place]
                (was,) = [n for n in own.notes if n.name == note.name]
                assert here == own.scenes[was.place]


def test_each_question_stands_at_every_position() -> None:
    """Six questions and more of every placed task, each as often at each of four places."""
    model = card.load(weights_folder())
    pages = held_out(model, 8, first=970)
    tasks = [task for task in WEIGHTS if task not in ("count", "exist any", "change", "move")]
    found = examine_turned(model, pages, [4], 8, 1, dict.fromkeys(tasks, 3))
    assert {one.task for one in found} == set(tasks)
    places: dict[Any, Counter[int]] = defaultdict(Counter)
    for one in found:
        assert one.picture is not None
        places[one.task, one.evidence][one.picture] += 1
    for seen in places.values():
        assert sorted(seen) == [1, 2, 3, 4]
        assert len(set(seen.values())) == 1
    assert sum(one.right for one in found) > 0.8 * len(found)
