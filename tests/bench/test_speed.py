"""The speed benchmark ends in time, measures what it says, and names what it left out."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from bench.speed import __main__ as speed
from bench.speed import clock
from bench.speed.clock import Patience
from bench.speed.contenders import Workload, requests, stock_inputs
from bench.speed.figures import Figure, ratio
from bench.speed.rivalry import Rival, plain
from bench.speed.subjects import pocket


def test_patience_allows_one_round_and_no_more_once_time_is_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(clock.time, "perf_counter", lambda: now[0])
    patience = Patience(1)
    made = []
    for number in patience.rounds(5):
        made.append(number)
        now[0] += 25
    assert made == [0, 1, 2], "none is begun after a minute"
    assert patience.is_over
    assert list(patience.rounds(5)) == [0]
    assert not patience.until(3).is_over, "the same beginning"
    now[0] = 281
    assert patience.until(3).is_over


def test_a_ratio_is_the_median_of_rounds() -> None:
    figure = ratio("a", [2.0, 9.0, 4.0], [1.0, 3.0, 4.0], 1.5)
    assert (figure.value, figure.met, figure.goal) == (2.0, True, ">= 1.5")
    assert ratio("a", [1.0], [2.0], 0.4, below=True).met is False


def test_subjects_stand_side_by_side() -> None:
    text = speed._side_by_side(
        {
            "pocket": [Figure("a", 1.234, ">= 1", True, sizes="4 asks")],
            "middle": [Figure("a", 2.0, ">= 1", True, sizes="2 asks"), Figure("b", 3.0, "-", None)],
        }
    )
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert rows[2] == ["a", "1.23 (4 asks)", "2 (2 asks)", ">= 1"]
    assert rows[3][:2] == ["b", "-"]


def test_what_there_is_no_time_for_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["speed", "--subject", "pocket", "--minutes", "0", "--threads", "1", "--out"]
    monkeypatch.setattr(sys, "argv", [*given, str(tmp_path)])
    speed.main()
    told = json.loads((tmp_path / "pocket.json").read_text())
    assert told["figures"] == []
    assert {"decode-heavy", "prefill-heavy", "second"} <= set(told["left_out"])
    assert "no time for" in capsys.readouterr().out


def test_one_figure_is_measured_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["speed", "--subject", "pocket", "--only", "capacity", "--threads", "1", "--out"]
    monkeypatch.setattr(sys, "argv", [*given, str(tmp_path)])
    speed.main()
    (figure,) = json.loads((tmp_path / "pocket.json").read_text())["figures"]
    cells = figure["parts"]["cells"]
    assert figure["value"] == pytest.approx(cells["1.0"] / cells["0.2"])
    assert "8 pictures" in (tmp_path / "speed.md").read_text()
    assert (tmp_path / "pocket.png").stat().st_size > 100


@pytest.mark.parametrize("python", ["/nowhere/python", sys.executable])
def test_a_rival_without_kvpress_is_refused_at_once(
    python: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["bench.speed", "--rival", python])
    with pytest.raises(SystemExit) as ended:
        speed.main()
    assert ended.value.code == 2
    assert "import kvpress" in capsys.readouterr().err


def test_a_rival_that_cannot_run_says_so() -> None:
    with pytest.raises(RuntimeError, match="kvpress_rival"):
        Rival(Path(sys.executable), 0.2)


# The other environment is made by hand (docs/log/engine.md); CI has none.
@pytest.mark.skipif("MYOPIA_KVPRESS" not in os.environ, reason="no Python with kvpress is named")
def test_the_rival_answers_as_stock_where_it_prunes_nothing() -> None:
    subject = pocket()
    asks = requests(subject, Workload("", 2, 2, 6), 1)
    inputs = stock_inputs(subject, asks)
    with torch.inference_mode():
        made = subject.stock.generate(**inputs, max_new_tokens=6)
    with Rival(Path(os.environ["MYOPIA_KVPRESS"]), 1.0) as rival:
        assert rival.answer([plain(inputs)], 6) > 0
        assert rival.tokens == [made[:, inputs["input_ids"].shape[1] :].tolist()]
