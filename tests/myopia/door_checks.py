"""The discriminating checks of the library door, as functions, so that mutations can run them.

Each fails (asserts or raises) when the one thing that it guards is taken away: see
`test_door_mutations`.
"""

from typing import Any

import torch

from myopia.door import MyopiaCache
from myopia.errors import Unsupported
from myopia.params import Pruning
from tests.myopia.door_reference import greedy, reference, solo
from tests.myopia.small import IMAGE, VOCABULARY, small_inputs

TOLERANCE = 1e-5
# Padding changes how sums are rounded, and matched bins weigh by such sums.
PADDED_TOLERANCE = 1e-4
ONE = small_inputs([(28, 28), (28, 56), (40, 30)])
RAGGED_PICTURES = [1, 3, 0, 2]
RAGGED = small_inputs([(28, 28)], [(28, 56), (56, 56), (28, 28)], [], [(50, 40), (28, 28)])
PRUNING = Pruning(budget=0.2)
PLACES = (RAGGED["attention_mask"].cumsum(-1) - 1).clamp_min(0)
TAIL = torch.tensor([[7, 9, 11, 30, 8]])


def close(left: torch.Tensor, right: torch.Tensor, tolerance: float = TOLERANCE) -> None:
    torch.testing.assert_close(left, right, atol=tolerance, rtol=tolerance)


def check_decoding(model: Any, pruning: Pruning = PRUNING) -> None:
    """Stock generate equals the full cache with the same columns hidden, token by token."""
    cache = MyopiaCache(model, pruning)
    tokens, logits = greedy(model, ONE, cache)
    assert cache.pruned
    wanted, wanted_logits = reference(model, ONE, pruning, 10)
    close(logits, wanted_logits)
    assert torch.equal(tokens, wanted)


def check_several_at_once(model: Any, pruning: Pruning = PRUNING) -> None:
    """Five tokens in one call, no positions given: their places and causality are right."""
    cache = MyopiaCache(model, pruning)
    with torch.no_grad():
        model(**ONE, past_key_values=cache)
        found = model(input_ids=TAIL, past_key_values=cache).logits
    close(found, reference(model, ONE, pruning, 0, at_once=TAIL)[1])


def check_second_turn(model: Any) -> None:
    """A second generate with all ids feeds the new tokens alone, at their places."""
    cache = MyopiaCache(model, PRUNING)
    first = model.generate(**ONE, max_new_tokens=4, past_key_values=cache)
    again = torch.cat([first, TAIL], dim=1)
    fed: list[int] = []
    hook = model.register_forward_pre_hook(
        lambda m, a, k: fed.append(k["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        found = model.generate(
            input_ids=again, attention_mask=torch.ones_like(again), past_key_values=cache,
            max_new_tokens=3, output_logits=True, return_dict_in_generate=True,
        )  # fmt: skip
    finally:
        hook.remove()
    assert fed == [6, 1, 1]  # the last answer token was never fed, then the tail of five
    kept = reference(model, ONE, PRUNING, 0, at_once=again[:, ONE["input_ids"].shape[1] :])[1]
    close(found.logits[0], kept[:, -1])


def check_ragged(model: Any) -> None:
    """Rows of a left-padded batch equal themselves alone."""
    _, logits = greedy(model, RAGGED, MyopiaCache(model, PRUNING))
    for row in range(len(RAGGED_PICTURES)):
        own = solo(RAGGED, row, RAGGED_PICTURES)
        _, wanted = greedy(model, own, MyopiaCache(model, PRUNING))
        close(logits[row], wanted[0], PADDED_TOLERANCE)


def check_ragged_several_at_once(model: Any) -> None:
    """The same for five tokens in one call, with the 2-D mask that says where padding is."""
    cache = MyopiaCache(model, PRUNING)
    tail = TAIL.expand(4, -1)
    with torch.no_grad():
        model(**RAGGED, position_ids=PLACES, past_key_values=cache)
        mask = torch.cat([RAGGED["attention_mask"], torch.ones_like(tail)], dim=1)
        places = mask.cumsum(-1)[:, -5:] - 1
        found = model(
            input_ids=tail, attention_mask=mask, position_ids=places, past_key_values=cache
        ).logits
        for row in range(4):
            own = MyopiaCache(model, PRUNING)
            model(**solo(RAGGED, row, RAGGED_PICTURES), past_key_values=own)
            wanted = model(input_ids=TAIL, past_key_values=own).logits[0]
            close(found[row], wanted, PADDED_TOLERANCE)


def check_rows_move_with_their_bias(model: Any) -> None:
    """Reordered, repeated and selected rows keep their own junk and counts."""
    tail = TAIL.expand(4, -1)
    mask = torch.cat([RAGGED["attention_mask"], torch.ones_like(tail)], dim=1)
    places = mask.cumsum(-1)[:, -5:] - 1

    def go_on(cache: MyopiaCache, rows: list[int]) -> torch.Tensor:
        return model(
            input_ids=tail[rows], attention_mask=mask[rows], position_ids=places[rows],
            past_key_values=cache,
        ).logits  # fmt: skip

    def fresh() -> MyopiaCache:
        cache = MyopiaCache(model, PRUNING)
        model(**RAGGED, position_ids=PLACES, past_key_values=cache)
        return cache

    with torch.no_grad():
        wanted = go_on(fresh(), [0, 1, 2, 3])
        for rows, move in (
            ([3, 1, 1, 0], lambda c: c.reorder_cache(torch.tensor([3, 1, 1, 0]))),
            ([0, 0, 1, 1, 2, 2, 3, 3], lambda c: c.batch_repeat_interleave(2)),
            ([2, 0], lambda c: c.batch_select_indices(torch.tensor([2, 0]))),
        ):
            cache = fresh()
            move(cache)
            close(go_on(cache, rows), wanted[rows])


def check_reset(model: Any) -> None:
    """A cache that was reset serves another prompt as a new one would."""
    cache = MyopiaCache(model, PRUNING)
    greedy(model, RAGGED, cache, steps=3)
    cache.reset()
    assert cache.get_seq_length() == 0
    close(greedy(model, ONE, cache)[1], greedy(model, ONE, MyopiaCache(model, PRUNING))[1])


def check_crop(model: Any) -> None:
    """The tail can be cut exactly; the pruned prompt cannot."""
    cache = MyopiaCache(model, PRUNING)
    with torch.no_grad():
        model(**ONE, past_key_values=cache)
        wanted = model(input_ids=TAIL, past_key_values=cache).logits
        cache.crop(-3)
        close(model(input_ids=TAIL[:, 2:], past_key_values=cache).logits, wanted[:, 2:])
    try:
        cache.crop(-6)
    except Unsupported:
        return
    raise AssertionError("a cut into the pruned prompt went through")


def check_chunked_prefill(model: Any) -> None:
    """A prompt in chunks prunes as one in a piece."""
    cache = MyopiaCache.for_inputs(model, ONE, PRUNING)
    _, logits = greedy(model, ONE, cache, prefill_chunk_size=17)
    whole = MyopiaCache(model, PRUNING)
    close(logits, greedy(model, ONE, whole)[1])
    for left, right in zip(cache.kept_positions(), whole.kept_positions(), strict=True):
        assert torch.equal(left, right)


def check_budget_holds(model: Any) -> None:
    """Physical slots shrink to text, kept and bins."""
    cache = MyopiaCache(model, PRUNING)
    with torch.no_grad():
        model(**ONE, past_key_values=cache)
    images = int((ONE["input_ids"] == IMAGE).sum())
    text = ONE["input_ids"].shape[1] - images
    for layer in cache.parts:
        assert layer.stored - text <= -(-images // 5)


def shifted(inputs: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """Other words and pictures of the same shape."""
    chance = torch.Generator().manual_seed(seed)
    ids = inputs["input_ids"].clone()
    words = ids > IMAGE
    ids[words] = torch.randint(6, VOCABULARY, (int(words.sum()),), generator=chance)
    pixels = torch.randn(inputs["pixel_values"].shape, generator=chance)
    return {**inputs, "input_ids": ids, "pixel_values": pixels}
