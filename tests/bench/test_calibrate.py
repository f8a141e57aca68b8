"""Calibrating: a table that the worker can read, from questions of every form."""

import json
from pathlib import Path

import pytest

from bench import calibrate
from bench.calibrate import BUDGETS, LABEL, kinds_of, plan_of, table_of
from bench.quality.lines import Line
from bench.quality.measuring import draw_samples, measure
from myopia.loading import Checkpoint
from myopia.revision import revision_of
from worker.calibration import read_calibration


def line(dataset: str, number: int, images: int, enough: float) -> Line:
    """A question whose answer agrees from the budget `enough` on."""
    rows = {f"{LABEL}@{b:g}": [1.0, 0.0, float(b >= enough)] for b in BUDGETS}
    return Line(dataset, number, images, 0, "question", "x", rows)


def test_shares_are_of_questions_of_one_kind_and_number_of_pictures() -> None:
    found = [line("GPR1200", k, 4, 0.1 if k % 2 else 0.4) for k in range(20)]
    few = [line("GPR1200", 20 + k, 8, 0.1) for k in range(5)]
    kinds = {(one.dataset, one.number): "choice" for one in (*found, *few)}
    table = table_of([*found, *few], kinds, "r")
    (cell,) = table["cells"]
    assert (cell["kind"], cell["images"], cell["questions"]) == ("choice", 4, 20)
    assert cell["agreement"] == {
        "0.7": 1, "0.5": 1, "0.4": 1, "0.3": 0.5, "0.2": 0.5, "0.15": 0.5, "0.1": 0.5, "0.05": 0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="20 times"):
        table_of(few, kinds, "r")


def test_kinds_come_from_the_questions_form(tmp_path: Path) -> None:
    plan = plan_of(str(tmp_path), 1, [2])
    draw_samples(plan, tmp_path / "drawn")
    kinds = {dataset: kind for (dataset, _), kind in kinds_of(plan, tmp_path).items()}
    assert kinds["GPR1200"] == "choice"
    assert kinds["WikiVQA"] == "choice, text between"
    assert kinds["ImageNeedleInAHaystack"] == "open"
    assert kinds["TextNeedleInAHaystack"] == "open, text between"


def test_the_file_is_what_a_worker_reads(
    checkpoint: Checkpoint, untrained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "LEAST_QUESTIONS", 1)
    plan = plan_of(str(tmp_path), 1, [2])
    small = calibrate.Plan(
        ("GPR1200", "ImageNeedleInAHaystack"), (2,), 1, plan.variants, plan.protocols, plan.seed
    )
    lines = measure(checkpoint, small, tmp_path)
    table = table_of(lines, kinds_of(small, tmp_path), revision_of(untrained))
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(table))
    read = read_calibration(path, [revision_of(untrained)]).table
    assert {cell.kind for cell in read.cells} == {"choice", "open"}
    assert set(read.cells[0].agreement) == set(BUDGETS)
