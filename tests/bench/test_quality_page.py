"""Summaries, goals, regression check and page, from lines whose right answers are known."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.milebench.samples import Sample
from bench.quality import __main__ as command
from bench.quality import grid
from bench.quality.captions import ROWS, caption_table
from bench.quality.goals import place_losses, verdicts
from bench.quality.measuring import Line
from bench.quality.pages import write_pages
from bench.quality.profile import profile
from bench.quality.runs import main_plan, reduced_plan, surface_plan
from bench.quality.summary import calibration, fidelity, informative, overall, summarise
from myopia.loading import Checkpoint

VARIANTS = [*grid.policies(), *grid.head_modes(), *grid.bins(), *grid.candidates()]


def line(dataset: str, number: int, protocol: str = "question", **scores: float) -> Line:
    rows = {v.name: [1.0, 0.1, 1.0] for v in VARIANTS}
    rows |= {v.name: [1.0, 0.1, 1.0] for v in (*grid.surface(), *grid.subsidies())}
    rows |= {grid.FULL: [1.0, 0.0, 1.0], grid.NONE: [0.0, 3.0, 0.0]}
    if protocol != "served":
        rows[grid.TEXT] = [0.0, 3.0, 0.0]
    rows |= {name: [score, 0.2, score] for name, score in scores.items()}
    return Line(dataset, number, 4, number % 4, protocol, "x", rows)


def lines(protocol: str = "question", **scores: float) -> list[Line]:
    return [
        line(dataset, number, protocol, **scores)
        for dataset in ("GPR1200", "OCR-VQA", "StateChange", "IEdit", "TextNeedleInAHaystack")
        for number in range(8)
    ]


def test_a_dataset_that_needs_no_picture_is_not_informative() -> None:
    guessed = [line("nuscenes", k, **{grid.TEXT: 1.0}) for k in range(4)]
    assert informative([*lines(), *guessed]) == sorted({each.dataset for each in lines()})
    with pytest.raises(ValueError, match="does not read pictures"):
        summarise(guessed)


def test_means_losses_and_errors() -> None:
    half = [line("GPR1200", k, **{"h2o@0.2": float(k % 2)}) for k in range(40)]
    cell = overall(half)["h2o@0.2"]
    assert (cell["mean"], cell["loss"], cell["n"]) == (50, -50, 40)
    assert cell["low"] < -50 < cell["high"]
    assert cell["error"] == pytest.approx(8.0, abs=0.1)
    assert overall(half)["myopia@0.2"]["low"] == 0
    assert fidelity(half)["h2o@0.2"] == [0.2, 0.5, 0.5]


def met(found: list[Line]) -> dict[str, bool]:
    return {verdict.goal: verdict.met for verdict in verdicts(summarise(found))}


def test_goals_are_met_when_nothing_is_lost_and_missed_when_it_is() -> None:
    everything = [row for p in ("question", "blind", "served", "other") for row in lines(p)]
    assert all(met(everything).values())
    lost = [*lines(**{"myopia@0.2": 0.5}), *lines("blind", **{"myopia@0.2": 0.5})]
    missed = [goal for goal, held in met(lost).items() if not held]
    assert [goal.split(":")[0] for goal in missed] == [
        "myopia@0.2, question",
        "myopia@0.2, question",
        "myopia@0.2, blind",
        "myopia@0.2, blind",
    ]


def test_a_late_image_that_is_lost_is_seen() -> None:
    rows = [line("GPR1200", k, **({"myopia@0.2": 0.0} if k % 4 == 3 else {})) for k in range(16)]
    summary = summarise(rows)
    assert place_losses(summary["protocols"]["question"], "myopia@0.2") == [0, 0, 0, -100]
    assert not met(rows)[
        "myopia@0.2, question: loss at the first and the last image within 3 points"
    ]


def test_calibration_is_the_smallest_budget_that_agrees() -> None:
    rows = [
        line("GPR1200", k, **{"myopia@0.05": 0.0, "myopia@0.1": float(k > 0)}) for k in range(10)
    ]
    (entry,) = calibration(rows, "myopia", grid.BUDGETS, 0.95)
    assert entry == {"dataset": "GPR1200", "images": 4, "budget": 0.2, "n": 10}
    (entry,) = calibration(rows, "myopia", grid.BUDGETS, 0.9)
    assert entry["budget"] == 0.1
    never = [line("GPR1200", 0, **{f"myopia@{b:g}": 0.0 for b in grid.BUDGETS})]
    assert calibration(never, "myopia", grid.BUDGETS, 0.9)[0]["budget"] == 1.0


def test_the_check_fails_on_more_than_two_points(tmp_path: Path) -> None:
    record = tmp_path / "quality.json"
    record.write_text(json.dumps({"reduced": {"question": {"myopia@0.2": 90.0}}}))
    assert command.check({"question": {"myopia@0.2": 88.1}}, record) == []
    assert len(command.check({"question": {"myopia@0.2": 87.9}}, record)) == 1
    assert len(command.check({}, record)) == 1


def test_plans_name_every_policy_once_per_budget() -> None:
    plan = main_plan(2, (4, 8))
    names = [variant.name for variant in plan.variants]
    assert len(names) == len(set(names))
    assert {"h2o@0.05", "random@0.4", "myopia head-wise@0.2"} <= set(names)
    surface = surface_plan(2, (4, 8))
    assert surface.images == (8,)
    assert len({variant.name for variant in surface.variants}) == len(surface.variants)
    assert {variant.pruning.budget for variant in reduced_plan().variants} == {0.2}


@pytest.fixture(scope="module")
def results(checkpoint: Checkpoint, drawn: list[Sample]) -> dict[str, Any]:
    main = summarise([row for p in ("question", "blind", "served", "other") for row in lines(p)])
    return {
        "card": {"revision": "abc", "images": "4", "samples": 8, "seed": 1},
        "main": main,
        "surface": main,
        "captions": caption_table(checkpoint, 2),
        "profile": profile(checkpoint, drawn[:1]),
    }


def test_the_page_has_every_table_and_its_plots(results: dict[str, Any], tmp_path: Path) -> None:
    page = tmp_path / "quality.md"
    write_pages(results, page, tmp_path / "quality")
    text = page.read_text()
    for title in (
        "Table A1",
        "Table A2",
        "Figure A2",
        "Recycling Bin",
        "Gamma and alpha",
        "served",
    ):
        assert title in text
    assert "prefixkv" in text
    pictures = [part.split("](")[1].split(")")[0] for part in text.split("![")[1:]]
    assert len(pictures) == 2 + 4 + 3  # places, surfaces, profiles
    assert all((tmp_path / picture).exists() for picture in pictures)


def test_captions_have_a_row_for_each_method(results: dict[str, Any]) -> None:
    table = results["captions"]
    assert set(table["served"]) == set(ROWS) | {"full", "none"} == set(table["question"])


def test_a_profile_covers_layers_and_images(
    results: dict[str, Any], checkpoint: Checkpoint, drawn: list[Sample]
) -> None:
    for table in results["profile"].values():
        assert len(table) == checkpoint.layers
        assert all(len(row) == 4 and min(row) > 0 for row in table)
    summed, per_row = (results["profile"][k][0] for k in ("all rows", "per visible row"))
    assert summed[0] / summed[-1] > per_row[0] / per_row[-1]
    with pytest.raises(ValueError, match="same number"):
        profile(checkpoint, [drawn[0], replace(drawn[1], image_count=3)])
