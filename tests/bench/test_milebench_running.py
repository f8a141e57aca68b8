"""A run writes one line per sample, can be resumed, and is compared with its full-cache run."""

import io
from pathlib import Path
from typing import Any

import pytest

from bench.charts import heat, lines
from bench.intervals import paired_interval, standard_error
from bench.milebench.report import against, by_task, depth_third, text_report, write_report
from bench.milebench.running import OtherRun, Result, read_results, run
from bench.milebench.samples import Sample, load
from bench.tables import table
from tests.bench.milebench_drawn import entry, write


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    entries = [
        entry(
            k, "{image#1}{image#2}", "ab"[k % 2] * 3, choice_list=["aaa", "bbb"], evidence=[k % 2]
        )
        for k in range(6)
    ]
    return load(write(tmp_path / "data", "TQA", entries))


def test_a_run_scores_and_writes_every_sample(samples: Any, tmp_path: Path) -> None:
    results = run(samples, lambda sample: "aaa", tmp_path / "out", {"policy": "full"})
    assert [result.score for result in results] == [1, 0, 1, 0, 1, 0]
    assert read_results(tmp_path / "out") == results
    assert results[1].depth == 1.0


def test_an_interrupted_run_goes_on_where_it_stopped(samples: Any, tmp_path: Path) -> None:
    asked = []

    def dies(sample: Any) -> str:
        if len(asked) == 4:
            raise KeyboardInterrupt
        asked.append(sample.sample_id)
        return "aaa"

    with pytest.raises(KeyboardInterrupt):
        run(samples, dies, tmp_path / "out", {})
    path = tmp_path / "out" / "TQA.jsonl"
    path.write_text(path.read_text()[:-20])  # killed in the middle of a line
    results = run(samples, lambda s: asked.append(s.sample_id) or "aaa", tmp_path / "out", {})
    assert asked == [0, 1, 2, 3, 3, 4, 5]
    assert [result.sample_id for result in results] == list(range(6))
    assert len(read_results(tmp_path / "out")) == 6


def test_other_settings_are_refused(samples: Any, tmp_path: Path) -> None:
    run(samples, lambda _: "aaa", tmp_path / "out", {"budget": 0.2})
    with pytest.raises(OtherRun, match="another folder"):
        run(samples, lambda _: "aaa", tmp_path / "out", {"budget": 0.1})


def test_progress_only_on_a_terminal(samples: Any, tmp_path: Path) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    silent, terminal = io.StringIO(), Terminal()
    run(samples, lambda _: "aaa", tmp_path / "a", {}, progress=silent)
    run(samples, lambda _: "aaa", tmp_path / "b", {}, progress=terminal)
    assert silent.getvalue() == ""
    assert "6/6 TQA mean 0.500" in terminal.getvalue()


def result(number: int, score: float, depth: float | None = None, dataset: str = "TQA") -> Result:
    return Result(dataset, number, "", score, "choice", "Few", 2, depth, 0.0)


def test_tables_by_task_level_and_depth() -> None:
    full = [result(k, 1.0, k / 5) for k in range(6)]
    pruned = [result(k, float(k < 4), k / 5) for k in range(6)]
    text = text_report({"full": full, "pruned": pruned}, "full")
    assert "pruned |  66.7" in text.replace("| pruned", "pruned").replace("pruned   ", "pruned")
    assert "-33.3 [" in text
    assert "0.0 (n=2)" in text  # the last third lost both of its samples
    assert [depth_third(row) for row in full] == [
        "first",
        "first",
        "middle",
        "middle",
        "last",
        "last",
    ]
    assert depth_third(result(0, 1)) is None
    with pytest.raises(ValueError, match="baseline"):
        text_report({"pruned": pruned}, "full")


def test_differences_pair_samples_of_both_runs() -> None:
    full = [result(k, 1.0) for k in range(50)] + [result(0, 1.0, dataset="WebQA")]
    half = [result(k, float(k % 2)) for k in range(40)] + [result(0, 1.0, dataset="WebQA")]
    intervals = against(half, full)
    assert intervals["S-1"].mean == pytest.approx(-25)
    assert intervals["S-1"].low < -25 < intervals["S-1"].high < 0
    assert by_task(half)["S-1"] == pytest.approx(75)


def test_intervals_of_nothing_and_of_no_spread() -> None:
    assert paired_interval([[1.0, 1.0, 1.0]]).low == 1.0
    with pytest.raises(ValueError, match="at least one"):
        paired_interval([[]])
    assert standard_error([1.0]) == 0
    assert standard_error([0.0, 1.0]) == pytest.approx(0.5)


def test_report_files(samples: Any, tmp_path: Path) -> None:
    for name, said in (("full", "aaa"), ("half", "b")):
        run(samples, lambda _, said=said: said, tmp_path / name, {"name": name})
    folders = {name: tmp_path / name for name in ("full", "half")}
    text = write_report(folders, "full", tmp_path / "report")
    assert (tmp_path / "report" / "report.md").read_text() == text
    assert (tmp_path / "report" / "depth.svg").read_text().count("<path") == 2
    with pytest.raises(ValueError, match="no results"):
        write_report({"full": tmp_path / "nothing"}, "full", tmp_path / "report")


def test_charts_are_well_formed() -> None:
    from xml.etree import ElementTree

    for text in (
        lines("a < b", ["1", "2"], {"x": [0.5, None], "y": [None, 2.0]}, unit="%"),
        lines("empty", [], {}),
        heat("h", ["1", "2"], {"r": [0.0, 1.0], "s": [0.5, 0.5]}),
    ):
        assert ElementTree.fromstring(text).tag.endswith("svg")


def test_table_rows_must_fit() -> None:
    assert table(["a", "b"], [["x", "1"]]).splitlines()[1] == "| --- | --: |"
    with pytest.raises(ValueError, match="cells"):
        table(["a", "b"], [["x"]])
