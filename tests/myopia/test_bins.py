"""Bins: membership, means, the bound on their mass, and what their bias and weights are worth."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from myopia.bins import Bins, Discarded, recycle
from myopia.layout import Layout, Span
from myopia.params import Pruning
from myopia.policies import policy_of
from myopia.pruning import prune_row
from myopia.survivors import Survivors
from tests.myopia.rows import SCALING, Row, eager, make_layout, make_row

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
    claimed = torch.einsum("hqd,hbd->hqb", query, bins.keys[0]) + bins.bias[0][:, None]
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
    claimed += bins.bias[0]
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
    torch.testing.assert_close(bins.bias, torch.tensor([[[math.log(2), math.log(2)]]]))


def test_by_hand_with_weights() -> None:
    layout = Layout(5, (Span(0, (1, 4), (0, 0)),), (4,))
    keys = torch.tensor([[[[1.0, 0], [0, 1], [2, 1], [1, 3], [7, 7]]]])
    values = torch.tensor([[[[1.0, 0], [2, 0], [3, 0], [6, 0], [7, 7]]]])
    scores = torch.tensor([[0.4, 0.3, 0.2, 0.1]])
    weights = torch.tensor([[[3.0, 0.0, 1.0, 5.0]]])
    pruned = torch.ones(1, 4, dtype=torch.bool)
    bins = recycle(Discarded(keys, values, scores, pruned, weights), layout, 2, "image")
    # As above tokens 0 and 2 are one bin, three to one; of 1 and 3 only the latter counts.
    torch.testing.assert_close(bins.keys, torch.tensor([[[[1.25, 0.25], [1.0, 3.0]]]]))
    torch.testing.assert_close(bins.values, torch.tensor([[[[1.5, 0.0], [6.0, 0.0]]]]))
    entropy = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    torch.testing.assert_close(bins.bias, torch.tensor([[[entropy, 0.0]]]))
    assert bins.counts.tolist() == [[2, 2]]


def test_tokens_that_nobody_looked_at_count_alike() -> None:
    lost = cast_off()
    nobody = replace(lost, weights=torch.zeros(1, 2, N))
    seen, even = recycle(nobody, LAYOUT, 6, "image"), recycle(lost, LAYOUT, 6, "image")
    torch.testing.assert_close(seen.keys, even.keys)
    torch.testing.assert_close(seen.values, even.values)
    torch.testing.assert_close(seen.bias, even.bias.expand_as(seen.bias))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999), sharp=st.floats(0.1, 6.0), spread=st.floats(0.0, 8.0))
def test_weights_never_let_a_bin_claim_too_much(seed: int, sharp: float, spread: float) -> None:
    """Gibbs: log(sum of exp(x)) is at least sum(w x) + entropy(w), whatever the weights."""
    lost, chance = cast_off(seed), torch.Generator().manual_seed(seed + 1)
    weights = (torch.randn(1, 2, N, generator=chance) * spread).exp()
    bins = recycle(replace(lost, weights=weights), LAYOUT, 6, "global")
    query = torch.randn(2, 5, 16, generator=chance) * sharp
    members = lost.keys[0][:, IMAGES[lost.pruned[0]]]
    true = torch.einsum("hqd,hpd->hqp", query, members).logsumexp(-1)
    claimed = torch.einsum("hqd,hbd->hqb", query, bins.keys[0]) + bins.bias[0][:, None]
    assert bool((claimed.logsumexp(-1) <= true + 1e-4 * true.abs().clamp_min(1)).all())


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 999), count=st.integers(1, 9), scope=st.sampled_from(["image", "global"])
)
def test_matched_bins_give_their_row_what_their_members_gave(
    seed: int, count: int, scope: str
) -> None:
    lost, chance = cast_off(seed), torch.Generator().manual_seed(seed + 1)
    query = torch.randn(2, 1, 16, generator=chance)
    logits = torch.einsum("hqd,hnd->hqn", query, lost.keys[0][:, IMAGES])
    bins = recycle(replace(lost, weights=logits.exp()[:, 0][None]), LAYOUT, count, scope)
    members = logits[..., lost.pruned[0]]
    claimed = torch.einsum("hqd,hbd->hqb", query, bins.keys[0]) + bins.bias[0][:, None]
    torch.testing.assert_close(claimed.logsumexp(-1), members.logsumexp(-1))
    torch.testing.assert_close(
        claimed.softmax(-1) @ bins.values[0],
        members.softmax(-1) @ lost.values[0][:, IMAGES[lost.pruned[0]]],
    )


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
    modes = (("matched", 5, True), ("mass", 5, True), ("paper", 5, False), ("off", 0, False))
    for mode, bins, biased in modes:
        pruning = Pruning(budget=0.4, bin_mode=mode)
        kept = prune_row(row.layers, row.observed(pruning), LAYOUT, pruning)[0]
        assert kept.bins == bins
        assert (kept.bias is not None) == biased


def last_output(row: Row, layer: int, kept: Survivors) -> torch.Tensor:
    """What the prompt's last row gets `(H, G, D)` of survivors."""
    heads, width = kept.keys.shape[0], kept.keys.shape[2]
    query = row.queries[layer][:, -1].view(heads, -1, width)
    bias = kept.bias if kept.bias is not None else torch.zeros(kept.keys.shape[:2])
    logits = torch.einsum("hgd,hkd->hgk", query, kept.keys) * SCALING + bias[:, None]
    return torch.einsum("hgk,hkd->hgd", logits.softmax(-1), kept.values)


@pytest.mark.parametrize("head_mode", ["aggregate", "wise"])
@pytest.mark.parametrize("guide", ["reply", "both"])
def test_a_row_gets_of_matched_bins_what_it_got_of_the_whole_cache(
    head_mode: str, guide: str
) -> None:
    """Every head its own, whatever is kept; with one query head for each key head."""
    layout = make_layout(images=4)
    row = make_row(layout, groups=1, seed=6)
    whole = [eager(row, i)[:, :, -1] @ row.values[i] for i in range(2)]
    for mode, exact in (("matched", True), ("mass", False)):
        pruning = Pruning(budget=0.15, bin_mode=mode, guide=guide, head_mode=head_mode)
        pruned = prune_row(row.layers, row.observed(pruning), layout, pruning)
        for index, kept in enumerate(pruned):
            assert kept.bins >= 2
            found = last_output(row, index, kept)
            assert torch.allclose(found, whole[index], atol=1e-4) == exact


def test_what_bins_are_matched_to() -> None:
    """The reply's row, else the question's rows; before any question all rows."""
    row, bare = make_row(LAYOUT), make_layout(tail=0)
    before = make_row(replace(bare, text_rows=(bare.length - 1,)))
    cases = [
        (row, Pruning(), "window"),
        (row, Pruning(guide="question"), "text"),
        (row, Pruning(alpha=0), "columns"),
        (before, Pruning(), "columns"),
        (before, Pruning(alpha=1, guide="reply"), "window"),
    ]
    for made, knobs, name in cases:
        pruning = replace(knobs, budget=0.4, bin_mode="matched")
        observer = made.observed(pruning)
        evidence = observer.evidence(0)
        kept = prune_row(made.layers, observer, made.layout, pruning)[0]
        images = torch.tensor(made.layout.image_positions())
        alive = torch.isin(images, kept.positions[0, kept.bins :])
        lost = Discarded(
            made.keys[0][None], made.values[0][None],
            policy_of(pruning).score(evidence, made.layout, pruning),
            ~alive[None], getattr(evidence, name)[None],
        )  # fmt: skip
        bins = recycle(lost, made.layout, kept.bins, "image")
        torch.testing.assert_close(bins.keys[0], kept.keys[:, : kept.bins])
        torch.testing.assert_close(bins.bias[0], kept.bias[:, : kept.bins])
