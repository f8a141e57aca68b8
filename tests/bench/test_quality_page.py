"""Summaries, goals, regression check and page, from lines whose right answers are known."""

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.milebench.samples import Sample
from bench.pocketbench.writing import DRAWN, SKILLS
from bench.quality import __main__ as command
from bench.quality import grid, readme
from bench.quality.captions import ROWS, caption_table
from bench.quality.choosing import CHOOSING_SEED, VERIFYING_SEED
from bench.quality.goals import goals, place_losses
from bench.quality.lines import Line
from bench.quality.offered import offered_datasets, offered_tasks
from bench.quality.pages import write_pages
from bench.quality.profile import profile
from bench.quality.recorded import check, means
from bench.quality.runs import main_plan, reduced_plan, rest_plan, surface_plan, table_plan
from bench.quality.summary import MARGIN, fidelity, informative, overall, rivals, summarise
from myopia.loading import Checkpoint
from myopia.policies import POLICIES

VARIANTS = [*grid.policies(), *grid.rivals(), *grid.head_modes(), *grid.bins()]


def line(dataset: str, number: int, protocol: str = "question", **scores: float) -> Line:
    rows = {v.name: [1.0, 0.1, 1.0] for v in VARIANTS}
    rows |= {v.name: [1.0, 0.1, 1.0] for v in (*grid.surface(), *grid.subsidies())}
    rows |= {grid.FULL: [1.0, 0.0, 1.0], grid.NONE: [0.0, 3.0, 0.0]}
    if protocol != "served":
        rows[grid.TEXT] = [0.0, 3.0, 0.0]
    rows |= {name: [score, 0.2, score] for name, score in scores.items()}
    return Line(dataset, number, 4, number % 4, protocol, "x", rows, tokens=2 + number % 4)


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
    assert [cell[0] for cell in fidelity(half)["h2o@0.2"]] == [0.2, 0.5, 0.5]


def verdicts(found: list[Line]) -> dict[str, str]:
    return {goal.goal: goal.verdict for goal in goals([summarise(found)])}


def test_goals_are_met_when_nothing_is_lost_and_missed_when_it_is() -> None:
    everything = [row for p in ("question", "blind", "served", "turn") for row in lines(p)]
    assert set(verdicts(everything).values()) == {"met"}
    assert len(verdicts(everything)) == 4 + 2 + 6 + 2
    lost = [*lines(**{"myopia@0.2": 0.5}), *lines("blind", **{"myopia@0.2": 0.5})]
    missed = {goal: said for goal, said in verdicts(lost).items() if said != "met"}
    assert [goal.split(":")[0] for goal in missed] == [
        "myopia@0.2, question",
        "myopia@0.2, question",
        "myopia@0.2, blind",
        "myopia@0.2, blind",
    ]
    assert set(missed.values()) == {"missed"}


def test_a_goal_missed_by_less_than_the_noise_says_so() -> None:
    rows = [line("GPR1200", k, **{"myopia@0.2": float(k != 0)}) for k in range(40)]
    found = verdicts(rows)
    assert found["myopia@0.2, question: at or above every other policy"] == "missed, within noise"
    near = found["myopia@0.2, question: every task within 1 points of the whole cache"]
    assert near == "missed, within noise"


def test_rivals_are_compared_question_by_question() -> None:
    rows = [line("GPR1200", k, **{"h2o@0.2": float(k % 2)}) for k in range(40)]
    gain, low, high = rivals(rows)["myopia@0.2"]["h2o@0.2"]
    assert gain == 50
    assert 30 < low < 50 < high < 70
    assert rivals(rows)["myopia@0.2"]["fastv@0.2"] == [0, 0, 0]


def test_a_late_image_that_is_lost_is_seen() -> None:
    rows = [line("GPR1200", k, **({"myopia@0.2": 0.0} if k % 4 == 3 else {})) for k in range(16)]
    summary = summarise(rows)
    found = place_losses(summary["protocols"]["question"], "myopia@0.2")
    assert [cell[0] for cell in found] == [0, 0, 0, -100]
    name = "myopia@0.2, question: loss at the first and the last image within 3 points"
    assert verdicts(rows)[name] == "missed"


def test_only_what_the_card_offers_and_the_whole_cache_can_counts() -> None:
    half = [line("IEdit", k, full=float(k % 2)) for k in range(8)]
    rows = [*(line("GPR1200", k) for k in range(8)), *half]
    assert informative(rows) == ["GPR1200"]
    assert informative(rows, among=["IEdit"]) == []


def write_card(folder: Path, **offered: bool) -> str:
    tasks = {name.replace("_", " "): {"offered": value} for name, value in offered.items()}
    (folder / "card.json").write_text(json.dumps({"tasks": tasks}))
    return str(folder)


def test_the_card_decides_what_is_held_against_a_checkpoint(tmp_path: Path) -> None:
    assert offered_tasks(str(tmp_path)) is None
    assert len(offered_datasets(str(tmp_path))) == len(DRAWN)
    model = write_card(tmp_path, find=True, digit=True, count=False)
    assert set(offered_datasets(model)) == {
        "GPR1200", "WikiVQA", "OCR-VQA", "ImageNeedleInAHaystack",
    }  # fmt: skip
    rest = rest_plan(model, (4, 8))
    assert rest is not None
    assert set(rest.datasets) | set(offered_datasets(model)) == set(DRAWN)
    assert rest.variants == main_plan(model, 2, (4, 8)).variants
    with pytest.raises(ValueError, match="offers no task"):
        offered_datasets(write_card(tmp_path, find=False))


def test_the_check_fails_on_more_than_two_points(tmp_path: Path) -> None:
    record = tmp_path / "quality.json"
    before = [*lines(), *lines("blind")]
    record.write_text(json.dumps({"reduced": means(before, MARGIN)}))
    assert check(before, record) == []
    little = [*lines(**{"myopia@0.2": 0.985}), *lines("blind")]
    assert check(little, record) == []
    more = [*lines(**{"myopia@0.2": 0.975}), *lines("blind")]
    assert [said.split(":")[0] for said in check(more, record)] == ["question"]
    assert len(check([], record)) == 2


def test_a_dataset_that_became_unreadable_cannot_leave_the_check(tmp_path: Path) -> None:
    record = tmp_path / "quality.json"
    record.write_text(json.dumps({"reduced": means(lines(), MARGIN)}))
    broken = [
        line(each.dataset, each.number, **{"full": 0.0, "myopia@0.2": 0.0})
        if each.dataset == "IEdit"
        else each
        for each in lines()
    ]
    assert "IEdit" not in informative(broken)
    assert len(check(broken, record)) == 1


def test_a_tampered_record_fails_and_an_empty_one_is_no_record(tmp_path: Path) -> None:
    record = tmp_path / "quality.json"
    told = means(
        [line(d, k, **{"myopia@0.2": 0.5}) for d in ("GPR1200", "IEdit") for k in range(8)], MARGIN
    )
    told["protocols"]["question"]["myopia@0.2"] += 10
    record.write_text(json.dumps({"reduced": told}))
    assert (
        len(
            check(
                [line(d, k, **{"myopia@0.2": 0.5}) for d in ("GPR1200", "IEdit") for k in range(8)],
                record,
            )
        )
        == 1
    )
    record.write_text(json.dumps({"reduced": {"datasets": [], "protocols": {}}}))
    with pytest.raises(ValueError, match="records no reduced run"):
        check(lines(), record)


def test_the_command_fails_on_a_record_that_is_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "quality.json"
    record.write_text(json.dumps({"reduced": means(lines(), MARGIN)}))
    asked = Namespace(
        model="m", jobs=1, minutes=None, images=[4, 8], margin=MARGIN, check=record, out=tmp_path
    )
    (tmp_path / "reduced").mkdir()
    monkeypatch.setattr(command.Stages, "reduced", lambda _: lines())
    command.reduced_run(asked)
    assert not (tmp_path / "reduced").exists()  # what was measured before a change proves nothing
    monkeypatch.setattr(command.Stages, "reduced", lambda _: lines(**{"myopia@0.2": 0.9}))
    with pytest.raises(SystemExit, match=r"question: 90.0 is more than 2.0 below 100.0"):
        command.reduced_run(asked)


def test_no_two_columns_of_readmes_table_have_one_name() -> None:
    names = [readme.column(dataset) for dataset in SKILLS]
    assert len(set(names)) == len(names)


def test_readmes_table_stands_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{readme.BEGIN}\nold\n{readme.END}\nafter\n")
    summary = summarise([*lines(**{"h2o@0.1": 0.5}), *lines("blind")])
    readme.write(summary, page)
    readme.write(summary, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{readme.END}\nafter\n")
    assert "old" not in text
    rows = {row.split("|")[1].strip(): row for row in text.splitlines() if row.startswith("|")}
    assert {"`full`", "`random`", "`prefixkv`", "none", "text-only", "*preset paper*"} <= {
        name.replace("*none*", "none").replace("*text-only*", "text-only") for name in rows
    }
    assert "50.0 ± 0.0" in rows["`h2o`"]
    page.write_text("no marks")
    with pytest.raises(ValueError, match="needs the marks"):
        readme.write(summary, page)


def test_plans_name_every_policy_once_per_budget(tmp_path: Path) -> None:
    plan = main_plan(str(tmp_path), 2, (4, 8))
    names = [variant.name for variant in plan.variants]
    assert len(names) == len(set(names))
    assert {"h2o@0.05", "random@0.4", "myopia head-wise@0.2", "preset paper@0.1"} <= set(names)
    table = table_plan(str(tmp_path), 100, (4, 8))
    assert {f"{policy}@0.1" for policy in POLICIES if policy != "full"} <= {
        variant.name for variant in table.variants
    }
    surface = surface_plan(2, (4, 8))
    assert surface.images == (8,)
    assert len({variant.name for variant in surface.variants}) == len(surface.variants)
    assert {variant.pruning.budget for variant in reduced_plan().variants} == {0.2, 0.1}
    seeds = [plan.seed, table.seed, reduced_plan().seed, CHOOSING_SEED, VERIFYING_SEED]
    assert len(set(seeds)) == len(seeds)  # nothing is chosen on what is reported


@pytest.fixture(scope="module")
def results(checkpoint: Checkpoint, drawn: list[Sample]) -> dict[str, Any]:
    main = summarise([row for p in ("question", "blind", "served", "turn") for row in lines(p)])
    return {
        "card": {"revision": "abc", "images": "4", "questions": 8, "table questions": 9},
        "main": main,
        "table": main,
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
        "(a) served",
        "(a') question",
        "(b) turn",
        "(c) blind",
        "(d) Long answers",
    ):
        assert title in text
    assert "prefixkv" in text
    for title, part in ((p.splitlines()[0], p) for p in text.split("\n## ")[1:]):
        if "|" in part and not title.startswith(("What holds", "What the model")):
            assert "random" in part, title
            assert "none" in part, title
            assert "±" in part, title
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
