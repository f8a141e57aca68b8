"""The comparison of estimators: exact where they look at all, worse where they look at less."""

import sys
from functools import partial

import pytest
import torch

from bench import overlap
from bench.overlap import (
    ESTIMATORS,
    PRUNINGS,
    Seen,
    compare,
    grouped,
    of_chance,
    of_pocket,
    strided,
)
from bench.scores import layout_of
from myopia.columns import column_sums
from myopia.columns_grouped import Grouping


@pytest.fixture(scope="module")
def seen() -> Seen:
    """Four query heads on two of keys, peaked enough for estimators to differ."""
    layout = layout_of(2500)
    chance = torch.Generator().manual_seed(5)
    query, key = (torch.randn(heads, layout.length, 16, generator=chance) for heads in (4, 2))
    return Seen(layout, 2 * query, key, 0.25)


def exact(seen: Seen) -> torch.Tensor:
    rows = torch.arange(seen.layout.spans[0].start, seen.layout.length)
    return column_sums(seen.query[:, rows], seen.key, rows, None, seen.scaling)


def test_every_row_is_the_exact_sum_and_looks_at_every_pair(seen: Seen) -> None:
    sums, pairs = strided(seen, 1, 1)
    torch.testing.assert_close(sums, exact(seen))
    first, length = seen.layout.spans[0].start, seen.layout.length
    assert pairs == sum(range(first + 1, length + 1))


def test_rows_that_are_left_out_are_weighed_for(seen: Seen) -> None:
    """Each row of weights sums to one, so the sums of all columns are as many as rows."""
    sums, pairs = strided(seen, 4, 1)
    torch.testing.assert_close(sums.sum(-1), exact(seen).sum(-1))
    assert pairs < strided(seen, 1, 1)[1]


def test_more_groups_are_nearer(seen: Seen) -> None:
    wanted = exact(seen)
    errors = [
        float((grouped(seen, Grouping(32, groups))[0] - wanted).abs().sum())
        for groups in (1, 4, 16)
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 2


def test_figures_of_one_layer(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ESTIMATORS, "all", partial(strided, stride=1, last=1))
    found = dict(compare(seen))
    assert set(found) == set(ESTIMATORS)
    whole, some = found["all"], found["every 16th row"]
    assert set(whole) == {"pairs", "error", "last", *PRUNINGS}
    assert whole["pairs"] == 1
    assert whole["error"] == pytest.approx(0, abs=1e-5)
    assert [whole[name] for name in PRUNINGS] == [1] * len(PRUNINGS)
    assert some["pairs"] < 0.2
    assert some["error"] > found["every 4th row"]["error"] > 0.01
    assert all(0 < some[name] < 1 for name in PRUNINGS)


def test_the_small_model_shows_every_layer_of_every_form() -> None:
    found = list(of_pocket(2, 1))
    assert len(found) % 6 == 0  # layers
    assert len(found) > 6
    for one in found:
        assert one.query.shape[1:] == one.key.shape[1:]
        assert one.key.shape[1] == one.layout.length
        assert [span.length > 0 for span in one.layout.spans] == [True, True]


def test_a_random_layer_makes_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["overlap", "--random", "--tokens", "600"])
    monkeypatch.setattr(
        overlap, "ESTIMATORS", {name: ESTIMATORS[name] for name in ("every 8th row",)}
    )
    overlap.main()
    head, _, row = capsys.readouterr().out.splitlines()
    assert head.startswith("| estimator | pairs | error | last | index 0.2 |")
    (one,) = of_chance(600)
    figures = dict(compare(one))["every 8th row"]
    assert row == "| every 8th row | " + " | ".join(f"{v:.3f}" for v in figures.values()) + " |"
