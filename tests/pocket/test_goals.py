"""The card's goals, its comparison with the release before, and the page they are written on."""

import json
from typing import Any

import pytest

from pocket import card, weights_folder
from pocket.exam import Asking, Mark, examine, held_out
from pocket.goals import PER_CELL, WANTED, cells, position_effects, scarce, share_error
from pocket.render import render
from pocket.rivals import compare


def marks(task: str, pictures: int, picture: int | None, right: int, wrong: int) -> list[Mark]:
    hit = Mark(task, pictures, picture, True)
    miss = Mark(task, pictures, picture, False)
    return [hit] * right + [miss] * wrong


def test_cells_by_hand() -> None:
    """2 to 6 pictures: 60 + 40 + 10 of 200 right; position 1 at .60 of a mean of .55."""
    own = marks("find", 2, 1, 60, 40) + marks("find", 6, 2, 40, 40) + marks("find", 3, 3, 10, 10)
    own += marks("find", 7, None, 3, 1)
    found = cells(own, own)["find"]
    dip = found["2-6"].pop("dip_error"), found["2-6"].pop("dip")
    assert dip == (0, 0.05)  # position 2: .50; one evidence, so nothing to see an error in
    assert found["2-6"] == {"accuracy": 0.55, "error": 0, "questions": 200}
    assert found["7-12"] == {"accuracy": 0.75, "error": 0, "questions": 4, "dip": None}
    assert scarce(own) == {("find", "2-6"): PER_CELL - 200, ("find", "7-12"): PER_CELL - 4}
    assert scarce(marks("count", 4, None, PER_CELL, 0)) == {}


def test_the_error_of_a_share_counts_pictures_not_questions() -> None:
    """Four questions about each of 25 pictures, all right or all wrong: as good as 25 questions."""
    alike = [
        Mark("find", 4, 1, picture < 20, evidence=picture) for picture in range(25) for _ in "four"
    ]
    assert share_error(alike) == pytest.approx((0.8 * 0.2 / 25) ** 0.5)
    apart = [Mark("find", 4, 1, i < 80, evidence=i) for i in range(100)]
    assert share_error(apart) == pytest.approx((0.8 * 0.2 / 100) ** 0.5)


def test_a_position_is_judged_by_evidence_that_stands_elsewhere_too() -> None:
    """Hard pictures crowd at position 2, where the same pictures do no worse; 3 costs a quarter."""

    def seen(evidence: str, picture: int, right: int, of: int) -> list[Mark]:
        return [Mark("find", 4, picture, i < right, evidence=evidence) for i in range(of)]

    own = seen("easy", 1, 300, 300) + seen("easy", 2, 100, 100) + seen("easy", 3, 75, 100)
    own += seen("hard", 1, 50, 100) + seen("hard", 2, 200, 400) + seen("hard", 3, 25, 100)
    own += seen("here only", 1, 0, 500)  # tells nothing of positions
    found = {p: effect for p, (effect, _) in position_effects(own).items()}
    assert found[1] == pytest.approx(found[2], abs=1e-6)
    assert found[1] - found[3] == pytest.approx(0.25, abs=1e-6)
    assert cells(own)["find"]["2-6"]["dip"] is None
    assert cells(own, own)["find"]["2-6"]["dip"] == pytest.approx(0.25 * 900 / 1100, abs=0.001)
    assert position_effects(seen("once", 1, 5, 9)) == {}
    alike = [
        m for e in range(100) for p in (1, 2) for m in seen(f"e{e}", p, int(e < 60 - 10 * p), 1)
    ]
    (first, error), (second, _) = position_effects(alike)[1], position_effects(alike)[2]
    assert first - second == pytest.approx(0.1)  # ten of a hundred pictures are read at 1 alone
    assert error == pytest.approx(0.015, abs=0.001)


def test_every_task_of_the_exam_has_a_goal_or_is_a_part_of_one() -> None:
    tasks = json.loads((weights_folder() / "card.json").read_text())["tasks"]
    assert set(tasks) - set(WANTED) == {"find color", "find shape"}  # halves of "find"


@pytest.fixture(scope="module")
def model() -> Any:
    return card.load(weights_folder())


@pytest.mark.parametrize("task", ["needle", "change", "find"])
def test_one_task_alone_can_be_examined(model: Any, task: str) -> None:
    """Positions are compared so; stories without notes or links to ask about are passed over."""
    pages = held_out(model, 6, first=400, only="series" if task == "change" else None)
    found = examine(model, pages, [4], 12, 1, Asking({task: 1.0}, each=6))
    assert found
    assert {one.task for one in found} == {task}
    assert len(found) <= 12 * 6


def test_a_checkpoint_equals_itself(model: Any) -> None:
    found = compare(model, model, 3, albums=10, stories=4)
    assert len(found["tasks"]) >= 12
    assert found["answers"] == []
    for row in found["tasks"].values():
        assert row["old"] == row["new"]
        assert row["only_old"] == row["only_new"] == 0
        assert row["questions"] > 0


def test_the_page_says_what_is_missed() -> None:
    found = json.loads((weights_folder() / "card.json").read_text())
    cell = {"accuracy": 0.5, "error": 0.024}
    cell |= {"questions": 432, "dip": 0.061, "dip_error": 0.012}
    good = {"accuracy": 1.0, "error": 0, "questions": 432, "dip": None}
    found["goals"] = {task: {"2-6": cell, "7-12": good} for task in WANTED}
    past = {task: {"2-6": {"accuracy": 0.25}, "7-12": {"accuracy": 0.125}} for task in WANTED}
    found["history"] = [{"release": 1, "goals": past}]
    page = render(found)
    row = "| find | 0.500 ± 0.024 (432, -6 ± 1), **0.95 wanted** | 1.000 ± 0.000 (432) |"
    assert f"{row} 0.25 | 0.12 |" in page
    assert "release 1: 2-6" in page


def test_a_cell_that_moved_is_a_disagreement() -> None:
    old = {"tasks": {}, "goals": {"find": {"2-6": {"accuracy": 0.9}}}}
    same = {"tasks": {}, "goals": {"find": {"2-6": {"accuracy": 0.91}}}}
    gone: dict[str, Any] = {"tasks": {}, "goals": {}}
    assert card.disagreements(old, same) == []
    assert card.disagreements(same, gone) == ["find with 2-6 pictures: card 0.91, now -1.0"]
