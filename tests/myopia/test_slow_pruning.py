"""Choosing, binning and merging all layers at once gives what one token at a time gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import myopia.pruning
from myopia import budget
from myopia.allotment import share_out
from myopia.params import Pruning
from myopia.policies import POLICIES
from myopia.pruning import prune_row
from tests.myopia.rows import make_layout, make_row
from tests.myopia.slow_pruning import allot_slowly, prune_slowly, share_slowly
from tests.myopia.test_budget import layouts

VARIED = [
    *[Pruning(policy=name, budget=0.3) for name in POLICIES if name != "full"],
    *[
        Pruning(policy=name, budget=0.3, head_mode="wise")
        for name, policy in POLICIES.items()
        if "head_mode" in policy.knobs
    ],
    *[Pruning(policy="look-m", merge=form) for form in ("averaged", "weighted")],
    *[Pruning(subsidy=form) for form in ("token", "fitted", "exp", "visible", "index_power")],
    Pruning(subsidy="quota", gamma=2.5),
    Pruning(subsidy="quota", head_mode="wise", min_per_image=0),
    Pruning(subsidy="peaks", gamma=2.5),
    Pruning(subsidy="peaks", head_mode="wise", newline_policy="keep", budget=0.4),
    Pruning(subsidy="asked", gamma=2.5),
    Pruning(subsidy="asked", head_mode="wise", alpha=0.8),
    Pruning(subsidy="asked", guide="question", newline_policy="drop"),
    Pruning(subsidy="asked", alpha=0.0),
    Pruning(layer_budgets="pyramid", budget=0.4),
    Pruning(newline_policy="keep", budget=0.4, bin_mode="paper"),
    Pruning(bin_mode="mass", head_mode="wise", budget=0.4),
    Pruning(bin_mode="mass", guide="question", bin_scope="global"),
    Pruning(newline_policy="drop", budget=0.4, bin_scope="global"),
    Pruning(head_mode="wise", bin_scope="global", bin_tokens=3, budget=0.5),
    Pruning(alpha=1, budget_scope="total", budget=0.4),
]


def check_same(row, pruning: Pruning) -> None:  # noqa: ANN001
    if not budget.prunes(row.layout, pruning):
        return
    observer = row.observed(pruning)
    fast = prune_row(row.layers, observer, row.layout, pruning)
    slow = prune_slowly(row.layers, observer, row.layout, pruning)
    for mine, wanted in zip(fast, slow, strict=True):
        assert torch.equal(mine.positions, wanted.positions)
        torch.testing.assert_close(mine.keys, wanted.keys, atol=1e-6, rtol=1e-5)
        torch.testing.assert_close(mine.values, wanted.values, atol=1e-6, rtol=1e-5)
        assert (mine.bias is None) == (wanted.bias is None)
        if mine.bias is not None:
            torch.testing.assert_close(mine.bias, wanted.bias, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("together", [0, 2**25], ids=["one-layer-at-a-time", "all-at-once"])
@pytest.mark.parametrize("pruning", VARIED, ids=lambda p: f"{p.policy}-{p.head_mode}-{p.subsidy}")
def test_all_at_once_is_one_after_another(
    pruning: Pruning, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(myopia.pruning, "BYTES_TOGETHER", together)
    check_same(make_row(make_layout(images=4, grid=(2, 4)), layers=3, seed=5), pruning)


@settings(max_examples=40, deadline=None)
@given(
    layout=layouts(),
    seed=st.integers(0, 10**6),
    budget_=st.floats(0.05, 0.95),
    head_mode=st.sampled_from(["aggregate", "wise"]),
    subsidy=st.sampled_from(["index", "quota", "peaks", "asked"]),
    scope=st.sampled_from(["image", "global"]),
    newlines=st.sampled_from(["score", "keep", "drop"]),
    floor=st.integers(0, 9),
)
def test_any_prompt_and_any_knobs(  # noqa: PLR0917
    layout,  # noqa: ANN001
    seed: int,
    budget_: float,
    head_mode: str,
    subsidy: str,
    scope: str,
    newlines: str,
    floor: int,
) -> None:
    pruning = Pruning(
        budget=budget_,
        head_mode=head_mode,  # type: ignore[arg-type]
        subsidy=subsidy,
        bin_scope=scope,  # type: ignore[arg-type]
        newline_policy=newlines,  # type: ignore[arg-type]
        min_per_image=floor,
    )
    check_same(make_row(layout, layers=2, seed=seed), pruning)


wishes = st.lists(st.floats(0, 1), min_size=1, max_size=8)


@settings(max_examples=300, deadline=None)
@given(wishes=wishes, total=st.integers(0, 90), low=st.integers(0, 5), more=st.integers(0, 20))
def test_sizes_are_those_of_bisection(wishes: list[float], total: int, low: int, more: int) -> None:
    mine = budget.allot(wishes, total, low, low + more)
    slow = allot_slowly(wishes, total, low, low + more)
    # Where two remainders are equal but for rounding, either may get the last unit.
    assert sum(mine) == sum(slow)
    assert max(abs(a - b) for a, b in zip(mine, slow, strict=True)) <= 1
    if len({round(wish, 6) for wish in wishes}) == len(wishes) and min(wishes) > 1e-3:
        assert mine == slow


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 12)), min_size=4, max_size=4),
        min_size=1,
        max_size=5,
    ),
    part=st.floats(0, 1),
    floor=st.integers(0, 4),
)
def test_many_rows_share_out_as_each_alone(
    rows: list[list[tuple[float, int]]], part: float, floor: int
) -> None:
    wished = [[wish for wish, _ in row] for row in rows]
    limits = [[limit for _, limit in row] for row in rows]
    totals = [int(part * sum(row)) for row in limits]
    together = share_out(
        torch.tensor(wished, dtype=torch.float64),
        torch.tensor(totals),
        torch.full((len(rows),), floor),
        torch.tensor(limits),
    )
    for mine, wish, total, limit in zip(together.tolist(), wished, totals, limits, strict=True):
        alone = share_slowly(wish, total, floor, limit)
        assert sum(mine) == sum(alone) == total
        assert all(a <= b for a, b in zip(mine, limit, strict=True))
        if len({round(one, 6) for one in wish}) == len(wish):
            assert mine == alone


def test_wishes_that_are_no_numbers_still_end() -> None:
    assert budget.allot([float("nan"), 1.0, float("inf")], 6, 1, 6) == [1, 1, 4]
    assert budget.allot([float("nan")] * 3, 6, 0, 6) == [2, 2, 2]
