"""Counts add up: quotas, floors, bins and layers, for any layout and any knobs."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myopia import budget
from myopia.layout import Layout, Span
from myopia.params import Pruning
from myopia.pruning import prune_row
from myopia.subsidy import FORMS
from tests.myopia.rows import make_row


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Up to five images, adjacent or not, some without tiles, one maybe at the very end."""
    at, spans = draw(st.integers(0, 3)), []
    for _ in range(draw(st.integers(1, 5))):
        side = draw(st.integers(1, 4))
        grid = draw(st.sampled_from([(0, 0), (1, 2), (3, 2), (2, 0)]))
        spans.append(Span(at, (side, side), grid))
        at = spans[-1].stop + draw(st.integers(0, 2))
    length = max(spans[-1].stop + draw(st.integers(1, 4)), at)
    return Layout(length, tuple(spans), tuple(range(spans[-1].stop, length)))


prunings = st.builds(
    Pruning,
    policy=st.sampled_from(["myopia", "h2o", "prefixkv", "uniform"]),
    budget=st.floats(0.01, 1.0),
    budget_scope=st.sampled_from(["visual", "total"]),
    newline_policy=st.sampled_from(["score", "keep", "drop"]),
    layer_budgets=st.sampled_from(["policy", "uniform", "pyramid"]),
)
knobs = st.builds(
    Pruning,
    budget=st.floats(0.01, 1.0),
    budget_scope=st.sampled_from(["visual", "total"]),
    gamma=st.floats(0.4, 4.0),
    alpha=st.floats(0, 1),
    subsidy=st.sampled_from(FORMS),
    head_mode=st.sampled_from(["aggregate", "wise"]),
    bin_mode=st.sampled_from(["matched", "mass", "paper", "off"]),
    bin_scope=st.sampled_from(["image", "global"]),
    min_per_image=st.integers(0, 64),
    newline_policy=st.sampled_from(["score", "keep", "drop"]),
)


@settings(max_examples=60, deadline=None)
@given(layout=layouts(), pruning=st.one_of(prunings, knobs))
def test_tokens_and_bytes_stay_within_the_budget(layout: Layout, pruning: Pruning) -> None:
    row = make_row(layout, layers=2)
    found = prune_row(row.layers, row.observed(pruning), layout, pruning)
    images, text = len(layout.spans), layout.length - layout.image_tokens
    if pruning.budget >= 1:
        assert all(survivors.keys.shape[1] == layout.length for survivors in found)
        return
    if pruning.budget_scope == "visual":
        paid = math.ceil(pruning.budget * layout.image_tokens - 1e-9)
    else:
        paid = max(0, math.ceil(pruning.budget * layout.length - 1e-9) - text)
    for survivors in found:
        held = survivors.keys.shape[1]
        assert survivors.values.shape == survivors.keys.shape
        assert survivors.positions.shape[1] == held
        assert survivors.dropped == layout.length - held
        even = pruning.policy != "prefixkv" and pruning.layer_budgets != "pyramid"
        if even or pruning.layer_budgets == "uniform":
            assert held <= text + paid + images  # at most one token per image above
            assert held >= text + min(paid, layout.image_tokens)
    whole = sum(survivors.keys.shape[1] - text for survivors in found)
    assert whole <= len(found) * (max(paid, images) + images)
    size = sum(s.keys.nbytes + s.values.nbytes for s in found)
    assert size == sum(s.keys.shape[1] for s in found) * 2 * 2 * 16 * 4


@settings(max_examples=30, deadline=None)
@given(layout=layouts(), pruning=knobs)
def test_bins_hold_every_pruned_token_once(layout: Layout, pruning: Pruning) -> None:
    pruning = replace(pruning, bin_mode="mass")
    row = make_row(layout, layers=1)
    for survivors in prune_row(row.layers, row.observed(pruning), layout, pruning):
        if survivors.bins:
            assert survivors.bias is not None
            kept = survivors.keys.shape[1] - survivors.bins
            counts = survivors.bias[:, : survivors.bins].exp().sum(-1).tolist()
            assert counts == pytest.approx([layout.length - kept] * 2, rel=1e-4)
            assert float(survivors.bias[:, survivors.bins :].abs().sum()) == 0


@settings(max_examples=80, deadline=None)
@given(
    wishes=st.lists(st.floats(0, 1e6), min_size=1, max_size=12),
    total=st.integers(0, 400),
    low=st.integers(0, 5),
    room=st.integers(0, 60),
)
def test_allot_sums_exactly_within_its_bounds(
    wishes: list[float], total: int, low: int, room: int
) -> None:
    high = low + room
    sizes = budget.allot(wishes, total, low, high)
    count = len(wishes)
    assert sum(sizes) == max(low * count, min(high * count, total))
    assert all(low <= size <= high for size in sizes)
    for i in range(count):
        for j in range(count):
            if wishes[i] > wishes[j]:
                assert sizes[i] >= sizes[j] - 1


def test_allot_by_hand() -> None:
    assert budget.allot([3, 1], 8, 0, 8) == [6, 2]
    assert budget.allot([1, 1, 1], 10, 0, 10) == [4, 3, 3]
    assert budget.allot([100, 1, 1], 12, 2, 6) == [6, 3, 3]
    assert budget.allot([0, 0], 4, 0, 4) == [2, 2]


@pytest.mark.parametrize(
    ("share", "tokens", "quota"), [(0.1, 30, 3), (0.07, 100, 7), (0.2, 36, 8), (0.2, 2928, 586)]
)
def test_quotas_round_up_but_not_by_a_binary_fraction(
    share: float, tokens: int, quota: int
) -> None:
    layout = Layout(tokens + 2, (Span(0, (1, tokens), (0, 0)),), (tokens,))
    assert budget.image_quota(layout, Pruning(budget=share)) == quota


def test_a_total_budget_pays_for_the_text_first() -> None:
    layout = Layout(100, (Span(10, (1, 60), (0, 0)),), (99,))  # 40 text tokens
    assert budget.image_quota(layout, Pruning(budget=0.5, budget_scope="total")) == 10
    assert budget.image_quota(layout, Pruning(budget=0.3, budget_scope="total")) == 0
    row = make_row(layout, layers=1)
    pruning = Pruning(budget=0.3, budget_scope="total")
    held = prune_row(row.layers, row.observed(pruning), layout, pruning)[0].keys.shape[1]
    assert held == 41  # text alone exceeds it; one token of the image survives all the same


def test_image_floors_take_at_most_half() -> None:
    layout = Layout(100, tuple(Span(20 * m, (4, 4), (0, 0)) for m in range(4)), (99,))
    assert budget.image_floor(40, layout, Pruning(min_per_image=4)) == 4
    assert budget.image_floor(16, layout, Pruning(min_per_image=4)) == 2
    assert budget.image_floor(5, layout, Pruning(min_per_image=0)) == 1
    assert budget.image_floor(40, layout, Pruning(policy="h2o")) == 1


def test_at_a_fifth_the_image_kv_of_a_row_is_a_fifth(capsys: pytest.CaptureFixture[str]) -> None:
    layout = Layout(330, tuple(Span(2 + 64 * m, (6, 6), (4, 6)) for m in range(5)), (329,))
    row = make_row(layout, layers=3)
    for mode in ("matched", "mass", "paper", "off"):
        pruning = Pruning(budget=0.2, bin_mode=mode)
        text = layout.length - layout.image_tokens
        for survivors in prune_row(row.layers, row.observed(pruning), layout, pruning):
            images = survivors.keys[:, : survivors.keys.shape[1] - text].nbytes
            full = row.keys[0][:, : layout.image_tokens].nbytes
            print(f"{mode}: {images} of {full} bytes = {images / full:.4f}, bins {survivors.bins}")
            assert images <= full * math.ceil(0.2 * layout.image_tokens) / layout.image_tokens
    assert "mass: " in capsys.readouterr().out
