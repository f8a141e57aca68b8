"""The library door refuses by name what it cannot do."""

from typing import Any

import pytest
import torch

from myopia.door import MyopiaCache
from myopia.errors import BadRequest, Unsupported
from myopia.params import Pruning
from tests.myopia import door_checks as checks
from tests.myopia.door_reference import greedy
from tests.myopia.small import small_inputs, small_model


@pytest.fixture(scope="module")
def model() -> Any:
    return small_model()


class TestRefusals:
    """What cannot be done is refused by name."""

    def test_sliding_windows(self) -> None:
        for kind, more in (
            ("mistral", {"sliding_window": 64}),
            ("qwen2", {"use_sliding_window": True, "sliding_window": 64, "max_window_layers": 0}),
        ):
            with pytest.raises(Unsupported, match="sliding window"):
                MyopiaCache(small_model(kind, **more))  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["static", "quantized", "offloaded"])
    def test_other_kinds_of_cache(self, name: str) -> None:
        own = small_model()
        own.generation_config.cache_implementation = name
        with pytest.raises(Unsupported, match=name):
            MyopiaCache(own)

    def test_models_without_images(self, model: Any) -> None:
        with pytest.raises(Unsupported, match="without image tokens"):
            MyopiaCache(model.model.language_model)

    def test_right_padding(self, model: Any) -> None:
        inputs = dict(checks.RAGGED)
        inputs["attention_mask"] = inputs["attention_mask"].flip(1)
        with pytest.raises(Unsupported, match="right padding"):
            greedy(model, inputs, MyopiaCache(model))

    def test_chunks_of_a_prompt_that_it_was_not_told_of(self, model: Any) -> None:
        for size in (17, 40, 70):
            with pytest.raises((BadRequest, Unsupported), match="for_inputs"):
                greedy(model, checks.ONE, MyopiaCache(model), prefill_chunk_size=size)

    def test_new_images_after_the_prompt(self, model: Any) -> None:
        cache = MyopiaCache(model, checks.PRUNING)
        first = model.generate(**checks.ONE, max_new_tokens=2, past_key_values=cache)
        more = small_inputs([(28, 28)], seed=3)
        ids = torch.cat([first, more["input_ids"]], dim=1)
        with pytest.raises(Unsupported, match="start a new cache"):
            model.generate(
                **{**more, "input_ids": ids, "attention_mask": torch.ones_like(ids)},
                past_key_values=cache, max_new_tokens=2,
            )  # fmt: skip

    def test_embeddings_instead_of_ids(self, model: Any) -> None:
        with pytest.raises(Unsupported, match="inputs_embeds"):
            model(inputs_embeds=torch.zeros(1, 4, 32), past_key_values=MyopiaCache(model))

    def test_a_forward_below_the_hook(self, model: Any) -> None:
        with pytest.raises(Unsupported, match="call the model"):
            model.model.language_model(
                inputs_embeds=torch.zeros(1, 4, 32), past_key_values=MyopiaCache(model)
            )

    def test_knobs_that_make_no_sense_are_refused_before_any_work(self, model: Any) -> None:
        with pytest.raises(BadRequest) as caught:
            MyopiaCache(model, Pruning(policy="h2o", gamma=2.5))
        assert caught.value.field == "/pruning/gamma"
        with pytest.raises(BadRequest) as caught:
            greedy(model, checks.ONE, MyopiaCache(model, Pruning(budget=0.05, bin_tokens=60)))
        assert caught.value.field == "/pruning/bin_tokens"

    def test_as_many_prunings_as_rows(self, model: Any) -> None:
        for count in (2, 3, 5):
            with pytest.raises(BadRequest, match=f"{count} prunings for 4 rows"):
                greedy(model, checks.RAGGED, MyopiaCache(model, [Pruning()] * count))
