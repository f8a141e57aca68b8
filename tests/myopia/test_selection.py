"""Floors, quotas, newlines and ties, by hand."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from myopia.geometry import newline_mask
from myopia.layout import Layout, Span
from myopia.selection import Rule, root_sums, select, select_by_shares

TWO = Layout(9, (Span(0, (1, 4), (0, 0)), Span(4, (1, 4), (0, 0))), (8,))
TILED = Layout(12, (Span(1, (1, 2), (2, 3)),), (11,))  # 2 base, then 3 + newline, 3 + newline


def kept(scores: list[float], layout: Layout, keep: int, floor: int, newlines: str = "score"):  # noqa: ANN201
    mask = select(torch.tensor([scores]), layout, Rule(keep, floor, newlines))
    return mask[0].nonzero()[:, 0].tolist()


def test_the_best_are_kept_beside_a_floor_for_every_image() -> None:
    scores = [9.0, 8, 7, 6, 1, 2, 3, 4]
    assert kept(scores, TWO, 4, 0) == [0, 1, 2, 3]
    assert kept(scores, TWO, 4, 1) == [0, 1, 2, 7]
    assert kept(scores, TWO, 4, 2) == [0, 1, 6, 7]


def test_of_equals_the_earlier_token_wins() -> None:
    assert kept([1.0] * 8, TWO, 3, 0) == [0, 1, 2]
    assert kept([1.0] * 8, TWO, 3, 1) == [0, 1, 4]


def test_newlines_are_scored_kept_or_dropped() -> None:
    assert newline_mask(TILED).nonzero()[:, 0].tolist() == [5, 9]
    scores = [5.0, 4, 3, 2, 1, 0, 9, 8, 7, 6]
    assert kept(scores, TILED, 4, 1) == [6, 7, 8, 9]
    assert kept(scores, TILED, 4, 1, "drop") == [0, 6, 7, 8]
    assert kept(scores, TILED, 4, 1, "keep") == [5, 6, 7, 9]
    assert kept(scores, TILED, 9, 1, "drop") == [0, 1, 2, 3, 4, 6, 7, 8, 9]


def test_quotas_follow_the_sums_and_gamma() -> None:
    # Square roots sum to 4·3 and 4·1: three quarters and one quarter of 4.
    scores = torch.tensor([[9.0] * 4 + [1.0] * 4])
    rule = Rule(4, 1, "score")
    shares = root_sums(scores, TWO)
    assert shares.tolist() == [[12.0, 4.0]]
    plain = select_by_shares(scores, shares, TWO, rule, 1.0)[0].tolist()
    assert plain == [True] * 3 + [False] + [True] + [False] * 3
    # gamma 3 makes the sums equal.
    raised = select_by_shares(scores, shares, TWO, rule, 3.0)[0].tolist()
    assert raised == [True, True, False, False] * 2


def test_a_quota_that_an_image_cannot_fill_goes_to_the_others() -> None:
    layout = Layout(9, (Span(0, (1, 2), (0, 0)), Span(2, (1, 6), (0, 0))), (8,))
    scores = torch.tensor([[100.0] * 2 + [0.01] * 6])
    shares = root_sums(scores, layout)
    mask = select_by_shares(scores, shares, layout, Rule(5, 1, "score"), 1.0)[0]
    assert mask.tolist() == [True, True, True, True, True, False, False, False]


def test_shares_are_counts_in_proportion_whatever_the_worth() -> None:
    worth = torch.tensor([[1.0, 2, 3, 4, 9, 8, 7, 6], [4.0, 3, 2, 1, 6, 7, 8, 9]])
    mask = select_by_shares(worth, torch.tensor([[0.75, 0.25]]), TWO, Rule(4, 1, "score"), 1.0)
    assert mask[0].nonzero()[:, 0].tolist() == [1, 2, 3, 4]
    assert mask[1].nonzero()[:, 0].tolist() == [0, 1, 2, 7]


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    keep=st.integers(1, 10),
    floor=st.integers(0, 5),
    newlines=st.sampled_from(["score", "keep", "drop"]),
    quota=st.booleans(),
)
def test_exactly_as_many_as_asked(
    seed: int, keep: int, floor: int, newlines: str, quota: bool
) -> None:
    scores = torch.rand(2, 10, generator=torch.Generator().manual_seed(seed))
    rule = Rule(keep, min(floor, keep), newlines)
    shares = root_sums(scores, TILED)
    mask = (
        select_by_shares(scores, shares, TILED, rule, 1.8) if quota else select(scores, TILED, rule)
    )
    assert mask.sum(-1).tolist() == [keep, keep]
