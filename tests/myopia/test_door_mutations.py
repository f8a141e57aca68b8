"""Every override of the door is guarded: taken away, the check that names it fails."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers.cache_utils import DynamicLayer
from transformers.masking_utils import AttentionMaskInterface

from myopia import attention
from myopia.door_layer import MyopiaLayer
from tests.myopia import door_checks as checks
from tests.myopia.small import small_model

Patch = Callable[[pytest.MonkeyPatch], None]


def physical_length(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MyopiaLayer, "get_seq_length", lambda self: self.stored)


def no_bias(patch: pytest.MonkeyPatch) -> None:
    settle = MyopiaLayer.settle

    def forgetful(self: MyopiaLayer, rows: Any) -> None:
        settle(self, rows)
        assert self.settled is not None
        self.settled.bias = None

    patch.setattr(MyopiaLayer, "settle", forgetful)


def no_causality(patch: pytest.MonkeyPatch) -> None:
    whole = MyopiaLayer.additive_mask

    def seeing_ahead(self: MyopiaLayer, query: torch.Tensor, mask: Any) -> Any:
        made = whole(self, query, mask)
        assert self.settled is not None
        if made is not None:
            made[..., self.settled.floor :] = 0
        return made

    patch.setattr(MyopiaLayer, "additive_mask", seeing_ahead)


def no_mask_of_its_own(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MyopiaLayer, "additive_mask", lambda self, query, mask: mask)


def rows_without_their_bias(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MyopiaLayer, "_rows", lambda self, rows: None)


def stock_reset(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MyopiaLayer, "reset", DynamicLayer.reset)


def stock_crop(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(MyopiaLayer, "crop", DynamicLayer.crop)


def nothing_handed_over(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(attention, "hand_over", lambda key, call: None)


def unregistered_mask(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AttentionMaskInterface, "register", lambda *names: None)
    patch.delitem(AttentionMaskInterface._global_mapping, attention.NAME)


MUTATIONS: list[tuple[Patch, Callable[[Any], None]]] = [
    (physical_length, checks.check_second_turn),
    (physical_length, checks.check_several_at_once),
    (no_bias, checks.check_decoding),
    (no_bias, checks.check_ragged),
    (no_causality, checks.check_several_at_once),
    (no_mask_of_its_own, checks.check_several_at_once),
    (rows_without_their_bias, checks.check_rows_move_with_their_bias),
    (stock_reset, checks.check_reset),
    (stock_crop, checks.check_crop),
    (nothing_handed_over, checks.check_budget_holds),
    (unregistered_mask, checks.check_chunked_prefill),
    (unregistered_mask, checks.check_ragged),
]


@pytest.mark.parametrize(
    ("mutate", "check"), MUTATIONS, ids=lambda it: it.__name__.removeprefix("check_")
)
def test_the_check_fails_without_what_it_guards(
    mutate: Patch, check: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model()
    check(model)  # holds as it is
    mutate(monkeypatch)
    with pytest.raises((AssertionError, RuntimeError, IndexError, ValueError)):
        check(model)


def test_one_generate_alone_would_not_have_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Why the list above is not one unpadded `generate()`: that passes with a physical length."""
    physical_length(monkeypatch)
    checks.check_decoding(small_model())
