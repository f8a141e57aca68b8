"""LOOK-M's three merges, by hand and at their limits."""

import pytest
import torch

from myopia.merging import merge_evicted
from myopia.params import Pruning
from myopia.pruning import prune_row
from tests.myopia.rows import make_layout, make_row

KEYS = torch.tensor([[[[2.0, 0], [0, 4], [1, 1], [3, 0]]]])
KEPT = torch.tensor([[True, True, False, False]])


@pytest.mark.parametrize(
    ("form", "first", "second"),
    [
        # (3, 0) resembles (2, 0) wholly; (1, 1) resembles both alike and goes to the first.
        ("averaged", [(2 + 1 + 3) / 3, (0 + 1 + 0) / 3], [0, 4]),
        ("pivotal", [(2 + 1.5 + 2.5) / 3, (0 + 0.5 + 0) / 3], [0, 4]),
        ("weighted", [(2 + 0.70710678 + 3) / 3, 0.70710678 / 3], [0, 4]),
    ],
)
def test_by_hand(form: str, first: list[float], second: list[float]) -> None:
    keys, values = merge_evicted(KEYS, KEYS * 10, KEPT, form)
    assert keys[0, 0, 0].tolist() == pytest.approx(first)
    assert keys[0, 0, 1].tolist() == pytest.approx(second)
    assert values[0, 0, 0].tolist() == pytest.approx([10 * x for x in first])


def test_values_follow_the_keys_assignment() -> None:
    values = torch.tensor([[[[1.0], [2.0], [3.0], [4.0]]]])
    _, merged = merge_evicted(KEYS, values, KEPT, "averaged")
    assert merged.flatten().tolist() == pytest.approx([(1 + 3 + 4) / 3, 2.0])


@pytest.mark.parametrize("head_mode", ["aggregate", "wise"])
def test_text_is_never_a_target(head_mode: str) -> None:
    layout = make_layout()
    row = make_row(layout)
    text = sorted(set(range(layout.length)) - set(layout.image_positions()))
    for form in ("averaged", "pivotal", "weighted"):
        pruning = Pruning(policy="look-m", budget=0.3, merge=form, head_mode=head_mode)
        found = prune_row(row.layers, row.observed(pruning), layout, pruning)
        for survivors, (keys, _) in zip(found, row.layers, strict=True):
            changed = 0
            for head in range(2):
                places = survivors.positions[head % survivors.positions.shape[0]]
                own = keys[head, places]
                is_text = torch.isin(places, torch.tensor(text))
                assert torch.equal(survivors.keys[head, is_text], own[is_text])
                changed += int((survivors.keys[head] != own).any(-1).sum())
            assert changed > 0
