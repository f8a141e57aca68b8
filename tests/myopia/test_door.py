"""The library door with stock `generate()`: equal to a full cache with the same columns hidden."""

import math
import threading
from typing import Any

import pytest
import torch

from myopia.door import MyopiaCache
from myopia.params import Pruning
from myopia.policies import POLICIES
from tests.myopia import door_checks as checks
from tests.myopia.door_reference import greedy, solo
from tests.myopia.small import small_inputs, small_model


@pytest.fixture(scope="module", params=["llama", "mistral", "qwen2"])
def any_model(request: pytest.FixtureRequest) -> Any:
    return small_model(request.param)


@pytest.fixture(scope="module")
def model() -> Any:
    return small_model()


def test_budget_one_is_stock_generate_token_for_token(any_model: Any) -> None:
    for inputs in (checks.ONE, checks.RAGGED):
        stock, stock_logits = greedy(any_model, inputs)
        for pruning in (Pruning(budget=1.0), Pruning(policy="full")):
            tokens, logits = greedy(any_model, inputs, MyopiaCache(any_model, pruning))
            assert torch.equal(tokens, stock)
            torch.testing.assert_close(logits, stock_logits, atol=1e-6, rtol=1e-6)


def test_the_first_token_is_that_of_the_full_cache_at_any_budget(any_model: Any) -> None:
    _, stock = greedy(any_model, checks.ONE, steps=1)
    for budget in (0.05, 0.3, 0.9):
        cache = MyopiaCache(any_model, Pruning(budget=budget))
        torch.testing.assert_close(greedy(any_model, checks.ONE, cache, steps=1)[1], stock)


PRUNINGS = [
    Pruning(budget=0.2),
    Pruning(budget=0.2, bin_mode="off"),
    Pruning(budget=0.2, bin_mode="mass"),
    Pruning(budget=0.4, bin_mode="paper"),
    Pruning(budget=0.4, head_mode="wise"),
    Pruning(budget=0.3, layer_budgets="pyramid"),
    Pruning(policy="prefixkv", budget=0.3),
    Pruning(policy="vl-cache", budget=0.2, head_mode="wise"),
    Pruning(policy="look-m", budget=0.2, merge="weighted"),
    Pruning(policy="streaming", budget=0.1),
]


@pytest.mark.parametrize(
    "pruning",
    PRUNINGS,
    ids=lambda p: f"{p.policy}-{p.bin_mode}-{p.head_mode}-{p.layer_budgets}",
)
def test_pruned_equals_hidden(model: Any, pruning: Pruning) -> None:
    checks.check_decoding(model, pruning)
    checks.check_several_at_once(model, pruning)


def test_pruned_equals_hidden_for_every_text_model(any_model: Any) -> None:
    checks.check_decoding(any_model)
    checks.check_several_at_once(any_model)


def test_a_second_turn_feeds_only_what_is_new(any_model: Any) -> None:
    checks.check_second_turn(any_model)


def test_ragged_rows_equal_themselves_alone(any_model: Any) -> None:
    checks.check_ragged(any_model)
    checks.check_ragged_several_at_once(any_model)


def test_rows_move_with_all_that_is_theirs(model: Any) -> None:
    checks.check_rows_move_with_their_bias(model)


def test_reset_and_crop(model: Any) -> None:
    checks.check_reset(model)
    checks.check_crop(model)


def test_chunks_of_the_prompt_prune_as_the_whole(any_model: Any) -> None:
    checks.check_chunked_prefill(any_model)


def test_slots_shrink_to_the_budget(model: Any) -> None:
    checks.check_budget_holds(model)


def test_prompt_lookup_gives_the_greedy_tokens(any_model: Any) -> None:
    tokens, _ = greedy(any_model, checks.ONE, MyopiaCache(any_model, checks.PRUNING), steps=24)
    cache = MyopiaCache(any_model, checks.PRUNING)
    found = any_model.generate(
        **checks.ONE, max_new_tokens=24, past_key_values=cache, prompt_lookup_num_tokens=4
    )
    assert torch.equal(found[:, -24:], tokens)


def test_beams_follow_their_own_rows(model: Any) -> None:
    """Beams over a pruned cache score as their own continuation does, fed at once."""
    cache = MyopiaCache(model, checks.PRUNING)
    beams = model.generate(
        **checks.ONE, max_new_tokens=6, num_beams=3, num_return_sequences=3, do_sample=False,
        past_key_values=cache, return_dict_in_generate=True, output_scores=True,
        length_penalty=0.0,
    )  # fmt: skip
    length = checks.ONE["input_ids"].shape[1]
    for row in range(3):
        answer = beams.sequences[row : row + 1, length:]
        own = MyopiaCache(model, checks.PRUNING)
        with torch.no_grad():
            first = model(**checks.ONE, past_key_values=own).logits[:, -1:]
            rest = model(input_ids=answer[:, :-1], past_key_values=own).logits
        logs = torch.cat([first, rest], dim=1).log_softmax(-1)
        total = float(logs.gather(2, answer[..., None]).sum())
        assert float(beams.sequences_scores[row]) == pytest.approx(total, abs=1e-3)


def test_beams_of_a_padded_batch_with_several_pictures(model: Any) -> None:
    together = model.generate(
        **checks.RAGGED, max_new_tokens=5, num_beams=2, do_sample=False,
        past_key_values=MyopiaCache(model, checks.PRUNING),
    )  # fmt: skip
    for row in range(4):
        own = solo(checks.RAGGED, row, checks.RAGGED_PICTURES)
        alone = model.generate(
            **own, max_new_tokens=5, num_beams=2, do_sample=False,
            past_key_values=MyopiaCache(model, checks.PRUNING),
        )  # fmt: skip
        assert torch.equal(together[row, -5:], alone[0, -5:])


def test_policies_mixed_in_one_batch_equal_each_alone() -> None:
    """In float64: rounding of float32 (1.2e-5 of 5 with AVX-512) must not pass for a difference."""
    model = small_model().double()
    rows = [[(28, 28), (28, 56)], [(56, 56), (28, 28), (30, 40)], [(50, 40)]]
    shapes = [rows[i % 3] for i in range(len(POLICIES))]
    inputs = small_inputs(*shapes)
    inputs["pixel_values"] = inputs["pixel_values"].double()
    prunings = [Pruning(policy=name, budget=0.3) for name in POLICIES]
    _, logits = greedy(model, inputs, MyopiaCache(model, prunings), steps=5)
    for row, pruning in enumerate(prunings):
        own = solo(inputs, row, [len(shape) for shape in shapes])
        _, wanted = greedy(model, own, MyopiaCache(model, pruning), steps=5)
        torch.testing.assert_close(logits[row], wanted[0], atol=1e-6, rtol=1e-6)


def test_prunings_go_with_their_rows_beams_and_all_and_survive_a_reset(model: Any) -> None:
    inputs = small_inputs([(28, 28), (28, 56)], [(56, 56), (40, 30)])
    prunings = [Pruning(budget=0.1), Pruning(policy="h2o", budget=0.5)]
    cache = MyopiaCache(model, prunings)
    for _ in range(2):
        cache.reset()
        model.generate(**inputs, max_new_tokens=3, num_beams=2, past_key_values=cache)
        kept = [len(cache.kept_positions(row)[0][0]) for row in range(4)]
        layouts = cache.layouts
        for row, share in ((0, 0.1), (1, 0.1), (2, 0.5), (3, 0.5)):
            images = layouts[row].image_tokens
            assert kept[row] == layouts[row].length - images + math.ceil(share * images)
    told = MyopiaCache.for_inputs(model, inputs, prunings)
    model.generate(**inputs, max_new_tokens=3, num_beams=2, past_key_values=told)
    assert [len(told.kept_positions(row)[0][0]) for row in range(4)] == kept


def test_two_threads_with_other_knobs_get_their_own_results(model: Any) -> None:
    prunings = [Pruning(budget=0.1), Pruning(policy="h2o", budget=0.5)]
    prompts = [checks.ONE, checks.shifted(checks.ONE, 5)]
    wanted = [
        greedy(model, prompt, MyopiaCache(model, pruning))[1]
        for prompt, pruning in zip(prompts, prunings, strict=True)
    ]
    found: list[list[torch.Tensor]] = [[], []]

    def work(which: int) -> None:
        for _ in range(4):
            cache = MyopiaCache(model, prunings[which])
            found[which].append(greedy(model, prompts[which], cache)[1])

    threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for which in (0, 1):
        assert len(found[which]) == 4
        for logits in found[which]:
            torch.testing.assert_close(logits, wanted[which], atol=1e-5, rtol=1e-5)


def test_other_caches_of_a_prepared_model_are_left_alone() -> None:
    fresh, prepared = small_model(), small_model()
    MyopiaCache(prepared)
    for inputs in (checks.ONE, checks.RAGGED):
        assert torch.equal(greedy(fresh, inputs)[0], greedy(prepared, inputs)[0])


def test_text_alone_and_an_image_at_the_very_end(model: Any) -> None:
    plain = small_inputs([])
    assert torch.equal(greedy(model, plain)[0], greedy(model, plain, MyopiaCache(model))[0])
    ends = small_inputs([(28, 28), (56, 28)], tail=0)
    cache = MyopiaCache(model, checks.PRUNING)
    greedy(model, ends, cache)
    assert cache.pruned
    assert cache.layouts[0].text_rows == (ends["input_ids"].shape[1] - 1,)


def test_adjacent_images_are_told_apart(model: Any) -> None:
    inputs = small_inputs([(28, 28), (28, 56)])
    ids = inputs["input_ids"]
    between = [i for i in range(4, ids.shape[1] - 7) if ids[0, i] != 5]
    keep = [i for i in range(ids.shape[1]) if i not in between]
    adjacent = {**inputs, "input_ids": ids[:, keep], "attention_mask": torch.ones(1, len(keep))}
    cache = MyopiaCache(model, checks.PRUNING)
    greedy(model, adjacent, cache)
    first, second = cache.layouts[0].spans
    assert first.stop == second.start
    assert first.length + second.length == int((ids == 5).sum())


def test_slivers_whose_tiles_are_cut_away(model: Any) -> None:
    for sizes in ([(2, 300), (28, 28)], [(300, 2), (1, 1)]):
        inputs = small_inputs(sizes)
        cache = MyopiaCache(model, checks.PRUNING)
        greedy(model, inputs, cache, steps=3)
        spans = cache.layouts[0].spans
        assert sum(span.length for span in spans) == int((inputs["input_ids"] == 5).sum())
        for positions in cache.kept_positions():
            kept = set(positions[0].tolist())
            assert all(kept & set(range(span.start, span.stop)) for span in spans)


def test_nothing_of_a_graph_is_kept_where_gradients_are_on(model: Any) -> None:
    cache = MyopiaCache(model, checks.PRUNING)
    with torch.enable_grad():
        model(**checks.ONE, past_key_values=cache)
    assert not any(layer.keys.requires_grad for layer in cache.parts if layer.keys is not None)
