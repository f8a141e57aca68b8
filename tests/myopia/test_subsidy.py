"""The forms of the subsidy: identities, numbers by hand, and what they do to images."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from myopia.layout import Layout, Span
from myopia.params import Pruning
from myopia.pruning import prune_row
from myopia.subsidy import (
    FORMS,
    asked_shares,
    image_sums,
    image_weights,
    per_visible_row,
    subsidy_weights,
)
from tests.myopia.rows import make_layout, make_row

THREE = Layout(14, tuple(Span(1 + 4 * m, (1, 3), (0, 0)) for m in range(3)), (13,))


def weights(form: str, gamma: float, layout: Layout = THREE, **knobs: object) -> list[float]:
    pruning = Pruning(subsidy=form, gamma=gamma, **knobs)  # type: ignore[arg-type]
    scores = torch.rand(1, layout.image_tokens, generator=torch.Generator().manual_seed(3))
    return subsidy_weights(scores, layout, pruning)[0].tolist()


@pytest.mark.parametrize("form", [form for form in FORMS if form != "exp"])
def test_gamma_one_is_no_subsidy(form: str) -> None:
    assert weights(form, 1.0) == [1.0] * 9


def test_exp_is_never_neutral() -> None:
    assert weights("exp", 1.0)[-1] == pytest.approx(math.e)


@pytest.mark.parametrize("form", FORMS)
def test_one_image_is_never_subsidised(form: str) -> None:
    one = Layout(5, (Span(1, (1, 3), (0, 0)),), (4,))
    assert weights(form, 2.5, one) == [1.0] * 3
    row = make_row(make_layout(images=1))
    kept = []
    for gamma in (1.0, 2.5):
        pruning = Pruning(subsidy=form, gamma=gamma, budget=0.3)
        found = prune_row(row.layers, row.observed(pruning), row.layout, pruning)
        kept.append([survivors.positions.tolist() for survivors in found])
    assert kept[0] == kept[1]


def test_forms_by_hand() -> None:
    assert weights("index", 4.0) == pytest.approx([1] * 3 + [2] * 3 + [4] * 3)
    assert weights("index_power", 2.0) == pytest.approx([1] * 3 + [2] * 3 + [4] * 3)
    assert weights("exp", 2.0) == pytest.approx([1] * 3 + [math.e] * 3 + [math.e**2] * 3)
    along = [0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.8, 0.9, 1.0]  # positions 1..3, 5..7, 9..11
    assert weights("token", 2.0) == pytest.approx([2**a for a in along])
    assert image_weights(THREE, 4.0) == pytest.approx([1, 2, 4])


def test_index_power_is_bounded() -> None:
    many = Layout(100, tuple(Span(1 + 2 * m, (1, 1), (0, 0)) for m in range(40)), (99,))
    assert max(weights("index_power", 2.5, many)) == pytest.approx(64)
    assert min(weights("index_power", 0.5, many)) == pytest.approx(1 / 64)


def test_fitted_takes_back_half_of_an_exponential_decay() -> None:
    # Means fall by e^-0.4 per image: over three images e^.8, half of it taken back is e^.4.
    scores = torch.tensor([[math.exp(-0.4 * m) for m in range(3) for _ in range(3)]])
    found = subsidy_weights(scores, THREE, Pruning(subsidy="fitted", gamma=2.5))
    wanted = [math.exp(0.2 * m) for m in range(3) for _ in range(3)]
    assert found[0].tolist() == pytest.approx(wanted, rel=1e-5)
    capped = subsidy_weights(scores, THREE, Pruning(subsidy="fitted", gamma=1.2))
    assert float(capped[0, -1]) == pytest.approx(1.2, rel=1e-5)
    rising = subsidy_weights(scores.flip(-1), THREE, Pruning(subsidy="fitted", gamma=2.5))
    assert rising.tolist() == [[1.0] * 9]


def test_fitted_falls_back_to_index_for_two_images() -> None:
    two = Layout(10, THREE.spans[:2], (9,))
    assert weights("fitted", 2.0, two) == weights("index", 2.0, two)


def test_visible_divides_by_the_rows_that_see_a_token() -> None:
    layout = Layout(200, (Span(0, (1, 3), (0, 0)), Span(150, (1, 3), (0, 0))), (199,))
    found = per_visible_row(torch.full((1, 6), 100.0), layout)[0].tolist()
    assert found == pytest.approx([100 / 200, 100 / 199, 100 / 198] + [100 / 64] * 3)


def test_visible_undoes_uniform_causal_attention() -> None:
    # Column sums of uniform attention fall like ln(L / j); per row that sees it they are flatter.
    layout = Layout(1000, tuple(Span(100 * m, (10, 10), (0, 0)) for m in range(8)), (999,))
    rows = 1.0 / torch.arange(1, 1001)
    columns = rows.flip(0).cumsum(0).flip(0)[layout.image_positions()][None]
    per_image = image_sums(columns, layout)[0]
    flat = image_sums(per_visible_row(columns, layout), layout)[0]
    assert float(per_image[0] / per_image[-1]) > 10
    assert float(flat[0] / flat[-1]) < float(per_image[0] / per_image[-1]) / 3


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 50),
    gammas=st.lists(st.floats(0.4, 4.0), min_size=2, max_size=4).map(sorted),
    form=st.sampled_from(["index", "index_power", "exp", "quota", "peaks", "asked"]),
)
def test_the_last_images_share_never_falls_with_gamma(
    seed: int, gammas: list[float], form: str
) -> None:
    row = make_row(make_layout(), layers=1, seed=seed)
    last, kept = row.layout.spans[-1], []
    for gamma in gammas:
        pruning = Pruning(gamma=gamma, subsidy=form, budget=0.4, bin_mode="off")
        found = prune_row(row.layers, row.observed(pruning), row.layout, pruning)[0]
        inside = (found.positions >= last.start) & (found.positions < last.stop)
        kept.append(int(inside.sum()))
    assert kept == sorted(kept)


def test_images_of_equal_decay_are_kept_alike_under_fitted() -> None:
    # Uniform attention: whichever picture stands where, places are kept by place alone.
    layout = make_layout(images=4, base=4, grid=(0, 0))
    row = make_row(layout, layers=1)
    row.queries = [torch.zeros_like(query) for query in row.queries]
    pruning = Pruning(subsidy="fitted", gamma=4.0, budget=0.5, bin_mode="off", min_per_image=0)

    def counts() -> list[int]:
        found = prune_row(row.layers, row.observed(pruning), layout, pruning)[0].positions[0]
        return [int(((found >= s.start) & (found < s.stop)).sum()) for s in layout.spans]

    before = counts()
    order = [2, 0, 3, 1]
    for tensors in (row.keys, row.values):
        whole = tensors[0].clone()
        for place, source in enumerate(order):
            here, there = layout.spans[place], layout.spans[source]
            whole[:, here.start : here.stop] = tensors[0][:, there.start : there.stop]
        tensors[0] = whole
    assert all(abs(a - b) <= 1 for a, b in zip(before, counts(), strict=True))


TWO = Layout(6, (Span(0, (1, 2), (0, 0)), Span(2, (1, 2), (0, 0))), (5,))


def test_asked_shares_by_hand() -> None:
    # A head that looks at image 2 alone has entropy 0 and weight 1; an even head has weight 0.
    telling = torch.tensor([[0.0, 0.0, 0.1, 0.3]])
    even = torch.tensor([[0.2, 0.1, 0.3, 0.0]])
    shares = asked_shares([torch.cat([telling, even]), even], TWO, 0.5)
    assert shares[0].tolist() == pytest.approx([0.25, 0.75], abs=1e-5)
    assert asked_shares([telling], TWO, 0.8)[0].tolist() == pytest.approx([0.1, 0.9])
    # Three quarters of a head's look on image 1: entropy .8113 of 1 bit, weight .1887 against 1.
    leaning = torch.tensor([[0.5, 0.25, 0.25, 0.0]])
    looked = (0.1887 * 0.25 + 1.0) / 1.1887
    wanted = [0.5 * 0.5 + 0.5 * (1 - looked), 0.5 * 0.5 + 0.5 * looked]
    found = asked_shares([telling, leaning], TWO, 0.5)[0].tolist()
    assert found == pytest.approx(wanted, abs=1e-4)


def test_asked_shares_are_even_where_nothing_is_asked() -> None:
    look = torch.tensor([[0.0, 0.0, 0.1, 0.3]])
    before = Layout(4, TWO.spans, (3,))  # nothing stands after the last image
    assert asked_shares([look], before, 0.5).tolist() == [[0.5, 0.5]]
    assert asked_shares([None], TWO, 0.5).tolist() == [[0.5, 0.5]]
    assert asked_shares([look], TWO, 0.0).tolist() == [[0.5, 0.5]]
    spread = torch.tensor([[0.3, 0.1, 0.2, 0.2]])
    assert asked_shares([spread], TWO, 1.0)[0].tolist() == pytest.approx([0.5, 0.5])


def test_asked_gives_the_image_that_the_reply_looks_at_more_tokens() -> None:
    layout = make_layout(images=3)
    row = make_row(layout, layers=2, seed=2)
    asked = layout.spans[1]
    for query, key in zip(row.queries, row.keys, strict=True):  # the last row: image 2 alone
        query[:, -1] = 4.0
        key[:, : asked.start, :] -= 2.0
        key[:, asked.start : asked.stop, :] += 2.0
        key[:, asked.stop :, :] -= 2.0

    def counts(form: str) -> list[int]:
        pruning = Pruning(subsidy=form, budget=0.5, bin_mode="off", min_per_image=0)
        found = prune_row(row.layers, row.observed(pruning), layout, pruning)[0].positions[0]
        return [int(((found >= s.start) & (found < s.stop)).sum()) for s in layout.spans]

    # 26 tokens: half of them evenly, the other half to one image, which has 17 in all.
    assert counts("asked") == [5, 17, 4]
    assert counts("peaks")[1] < 17
