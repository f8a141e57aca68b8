"""Bins: membership, means, the Jensen bound, and what the log-count bias is worth."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from myopia.bins import Bins, Discarded, recycle
from myopia.layout import Layout, Span
from myopia.params import Pruning
from myopia.pruning import prune_row
from tests.myopia.rows import make_layout, make_row

LAYOUT = make_layout()
N = LAYOUT.image_tokens


IMAGES = torch.tensor(LAYOUT.image_positions())


def cast_off(seed: int = 0, heads: int = 1, drop: float = 0.7) -> Discarded:
    chance = torch.Generator().manual_seed(seed)
    shape = (heads, 2 // heads, LAYOUT.length, 16)  # choices, and heads that share one
    keys = torch.randn(shape, generator=chance)
    values = torch.randn(shape, generator=chance)
    scores = torch.rand(heads, N, generator=chance)
    order = torch.rand(heads, N, generator=chance).argsort(-1)
    pruned = torch.zeros(heads, N, dtype=torch.bool)
    pruned.scatter_(1, order[:, : int(N * drop)], True)
    return Discarded(keys, values, scores, pruned)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999),
    count=st.integers(1, 20),
    scope=st.sampled_from(["image", "global"]),
    heads=st.sampled_from([1, 2]),
)
def test_counts_sum_to_the_pruned_and_seats_are_pruned(
    seed: int, count: int, scope: str, heads: int
) -> None:
    lost = cast_off(seed, heads)
    bins = recycle(lost, LAYOUT, count, scope)
    assert bins.keys.shape == (heads, 2 // heads, count, 16)
    assert bins.counts.shape == (heads, count)
    assert bool((bins.counts >= 1).all())
    assert bins.counts.sum(-1).tolist() == lost.pruned.sum(-1).tolist()
    assert bool(lost.pruned.gather(1, bins.seats).all())
    assert bool((bins.seats.diff(dim=-1) > 0).all())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), sharp=st.floats(0.1, 6.0))
def test_a_bin_never_claims_more_mass_than_its_members_had(seed: int, sharp: float) -> None:
    lost = cast_off(seed)
    bins = recycle(lost, LAYOUT, 6, "global")
    query = torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(seed + 1)) * sharp
    members = lost.keys[0][:, IMAGES[lost.pruned[0]]]
    true = torch.einsum("hqd,hpd->hqp", query, members).logsumexp(-1)
    claimed = torch.einsum("hqd,hbd->hqb", query, bins.keys[0]) + bins.counts.log()[None]
    assert bool((claimed.logsumexp(-1) <= true + 1e-4).all())


def test_equal_members_are_represented_exactly() -> None:
    lost = cast_off()
    same = Discarded(
        lost.keys[:, :, :1].expand_as(lost.keys), lost.values[:, :, :1].expand_as(lost.keys),
        lost.scores, lost.pruned,
    )  # fmt: skip
    bins = recycle(same, LAYOUT, 1, "global")
    torch.testing.assert_close(bins.keys, same.keys[:, :, :1])
    torch.testing.assert_close(bins.values, same.values[:, :, :1])
    query = torch.randn(2, 3, 16)
    members = same.keys[0][:, IMAGES[lost.pruned[0]]]
    true = torch.einsum("hqd,hpd->hqp", query, members).logsumexp(-1)
    claimed = torch.einsum("hqd,hbd->hqb", query, bins.keys[0])[..., 0]
    claimed += math.log(int(bins.counts[0]))
    torch.testing.assert_close(claimed, true)


def test_values_lie_between_their_members() -> None:
    lost = cast_off()
    bins = recycle(lost, LAYOUT, 4, "image")
    members = lost.values[0][:, IMAGES[lost.pruned[0]]]
    assert bool((bins.values[0] <= members.amax(1, keepdim=True) + 1e-6).all())
    assert bool((bins.values[0] >= members.amin(1, keepdim=True) - 1e-6).all())


def test_by_hand() -> None:
    layout = Layout(6, (Span(0, (1, 5), (0, 0)),), (5,))
    keys = torch.tensor([[[[1.0, 0], [0, 1], [2, 1], [1, 3], [9, 9], [7, 7]]]])  # a text token last
    values = torch.tensor([[[[1.0, 0], [2, 0], [3, 0], [6, 0], [9, 9], [7, 7]]]])
    scores = torch.tensor([[0.4, 0.3, 0.2, 0.1, 0.9]])
    pruned = torch.tensor([[True, True, True, True, False]])
    bins = recycle(Discarded(keys, values, scores, pruned), layout, 2, "image")
    # Seats are tokens 0 and 1; (2, 1) points along the first axis, (1, 3) along the second.
    assert bins.seats.tolist() == [[0, 1]]
    assert bins.counts.tolist() == [[2, 2]]
    assert bins.keys.tolist() == [[[[1.5, 0.5], [0.5, 2.0]]]]
    assert bins.values.tolist() == [[[[2.0, 0.0], [4.0, 0.0]]]]


def members_by_image(bins: Bins, lost: Discarded) -> bool:
    """Whether the means can be rebuilt from members of the seat's own image alone."""
    image_of = torch.tensor(LAYOUT.image_of())
    for image in range(len(LAYOUT.spans)):
        mine = lost.pruned[0] & (image_of == image)
        total = lost.keys[0][:, IMAGES[mine]].sum(1)
        own = image_of[bins.seats[0]] == image
        if not torch.allclose(
            (bins.keys[0] * bins.counts[..., None])[:, own].sum(1), total, atol=1e-4
        ):
            return False
    return True


def test_image_scope_keeps_images_apart_and_global_does_not() -> None:
    lost = cast_off()
    assert members_by_image(recycle(lost, LAYOUT, 6, "image"), lost)
    assert not members_by_image(recycle(lost, LAYOUT, 6, "global"), lost)
    # Fewer bins than images: one-image bins are impossible, so it is global.
    assert not members_by_image(recycle(lost, LAYOUT, 2, "image"), lost)


def output(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, bias: torch.Tensor):  # noqa: ANN201
    logits = torch.einsum("hqd,hkd->hqk", query, keys) * 0.25 + bias[:, None]
    return torch.einsum("hqk,hkd->hqd", logits.softmax(-1), values)


def test_the_log_count_bias_brings_the_output_nearer_to_the_full_cache() -> None:
    layout = make_layout(images=3, base=8, grid=(0, 0))
    row = make_row(layout, layers=1, seed=4)
    row.values[0] = row.values[0] + row.keys[0]  # what is said depends on where it is found
    query = torch.randn(2, 40, 16, generator=torch.Generator().manual_seed(9)) * 0.7
    wanted = output(query, row.keys[0], row.values[0], torch.zeros(2, layout.length))
    error = {}
    for mode in ("mass", "paper", "off"):
        pruning = Pruning(budget=0.2, bin_mode=mode)
        kept = prune_row(row.layers, row.observed(pruning), layout, pruning)[0]
        bias = kept.bias if kept.bias is not None else torch.zeros(kept.keys.shape[:2])
        error[mode] = float((output(query, kept.keys, kept.values, bias) - wanted).norm())
    assert error["mass"] < 0.8 * error["paper"]
    assert error["mass"] < 0.8 * error["off"]


@pytest.mark.parametrize("head_mode", ["aggregate", "wise"])
def test_bins_come_first_and_stand_where_their_representatives_stood(head_mode: str) -> None:
    row = make_row(LAYOUT)
    pruning = Pruning(budget=0.4, head_mode=head_mode)
    for kept in prune_row(row.layers, row.observed(pruning), LAYOUT, pruning):
        assert kept.bins == 5  # a quarter of ceil(.4 * 51)
        images = set(LAYOUT.image_positions())
        for head in kept.positions.tolist():
            assert set(head[: kept.bins]) <= images
            assert not set(head[: kept.bins]) & set(head[kept.bins :])


def test_modes_of_the_bin() -> None:
    row = make_row(LAYOUT)
    for mode, bins, biased in (("mass", 5, True), ("paper", 5, False), ("off", 0, False)):
        pruning = Pruning(budget=0.4, bin_mode=mode)
        kept = prune_row(row.layers, row.observed(pruning), LAYOUT, pruning)[0]
        assert kept.bins == bins
        assert (kept.bias is not None) == biased
