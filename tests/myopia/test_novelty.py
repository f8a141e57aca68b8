"""Distances to better tokens: by hand, per image and head, and what they keep."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import myopia.novelty
from myopia.layout import Layout, Span
from myopia.novelty import novelty
from myopia.params import Pruning
from myopia.pruning import prune_row
from tests.myopia.rows import make_layout, make_row
from tests.myopia.slow_pruning import novel_slowly

TWO = Layout(8, (Span(0, (1, 3), (0, 0)), Span(4, (1, 2), (0, 0))), (7,))
ALONG, HALF, ACROSS, BACK = [1.0, 0.0], [0.6, 0.8], [0.0, 1.0], [-1.0, 0.0]


def novel(keys: list[list[float]], scores: list[float]) -> list[float]:
    found = novelty(torch.tensor([[keys]]), torch.tensor([scores]).float(), TWO)
    return [round(one, 5) for one in found[0].tolist()]


def test_distances_by_hand() -> None:
    # Image 1, best first: ALONG; then HALF (cosine .6); then ACROSS (.8 to HALF, 0 to ALONG).
    assert novel([HALF, ALONG, ACROSS, ALONG, ALONG], [2, 3, 1, 5, 4]) == [0.4, 1, 0.2, 1, 0]
    # The same seen from ACROSS first, and a token that points away from every better one.
    assert novel([HALF, ALONG, ACROSS, ALONG, BACK], [2, 1, 3, 5, 4]) == [0.2, 0.4, 1, 1, 1]


def test_lengths_of_keys_and_other_images_do_not_count() -> None:
    keys = [[3.0, 0.0], [0.5, 0.0], ACROSS, ALONG, ACROSS]
    assert novel(keys, [3, 2, 1, 9, 8]) == [1, 0, 1, 1, 1]


def test_of_equal_scores_the_earlier_is_better() -> None:
    assert novel([ALONG, ALONG, ALONG, HALF, HALF], [1.0] * 5) == [1, 0, 0, 1, 0]


def test_heads_are_averaged() -> None:
    first, second = [ALONG, ALONG, ACROSS], [ALONG, ACROSS, ALONG]
    keys = torch.tensor([[[*first, ALONG, BACK], [*second, ALONG, ALONG]]])
    found = novelty(keys, torch.tensor([[3.0, 2, 1, 5, 4]]), TWO)
    assert found[0].tolist() == pytest.approx([1, 0.5, 0.5, 1, 1])  # (1 + 0) / 2; (-1 + 1) / 2


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), together=st.sampled_from([1, 400, 2**24]))
def test_images_together_or_alone(seed: int, together: int) -> None:
    layout = Layout(
        40, (Span(1, (2, 2), (2, 3)), Span(14, (1, 1), (0, 0)), Span(16, (2, 3), (1, 4))), (39,)
    )
    chance = torch.Generator().manual_seed(seed)
    keys = torch.randn(2, 3, layout.length, 4, generator=chance)
    scores = torch.rand(2, layout.image_tokens, generator=chance)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(myopia.novelty, "COSINES_TOGETHER", together)
        found = novelty(keys[:, :, layout.image_positions()], scores, layout)
    for mine, key, score in zip(found, keys, scores, strict=True):
        assert mine.tolist() == pytest.approx(novel_slowly(key, score, layout), abs=1e-5)


def test_wide_keys_are_sketched() -> None:
    """12 heads of 64: near pairs stay near, far ones far, within a fifth of their distance."""
    chance = torch.Generator().manual_seed(1)
    layout = make_layout(images=1, base=10, grid=(0, 0))
    things = torch.randn(1, 12, 25, 64, generator=chance).repeat_interleave(4, 2)
    keys = things + 0.3 * torch.randn(1, 12, 100, 64, generator=chance)
    scores = torch.rand(1, 100, generator=chance)
    found = novelty(keys, scores, layout)
    whole = torch.full((1, 12, layout.length, 64), 0.0)
    whole[:, :, layout.image_positions()] = keys
    exact = torch.tensor(novel_slowly(whole[0], scores[0], layout))
    first_of_thing, again = exact > 0.5, exact < 0.2
    assert first_of_thing.sum() == 25
    assert again.sum() == 75
    assert float((found[0] / exact - 1).abs().max()) < 0.5
    assert float((found[0] / exact - 1).abs().mean()) < 0.2
    assert float(found[0][first_of_thing].min()) > 3 * float(found[0][again].max())
    assert torch.equal(novelty(keys, scores, layout), found)


@pytest.mark.parametrize("form", ["peaks", "asked"])
def test_two_things_are_kept_before_one_of_them_twice(form: str) -> None:
    # Four keys alike with the highest scores, one other: `quota` keeps of the four alone.
    layout = make_layout(images=2, base=3, grid=(0, 0))
    row = make_row(layout, layers=1, heads=1, groups=1)
    other = layout.spans[0].start + 8
    for span in layout.spans:
        row.keys[0][:, span.start : span.stop] = torch.eye(16)[0] * 2
        row.keys[0][:, span.start + 4 : span.stop] = torch.eye(16)[1]
    row.keys[0][:, other] = torch.eye(16)[2] * 0.5
    row.queries[0][:] = torch.eye(16)[0] * 4 + torch.eye(16)[2] * 8

    def kept(subsidy: str) -> set[int]:
        pruning = Pruning(subsidy=subsidy, budget=0.25, bin_mode="off", min_per_image=0)
        found = prune_row(row.layers, row.observed(pruning), layout, pruning)
        return set(found[0].positions[0].tolist())

    assert other not in kept("quota")
    assert other in kept(form)
