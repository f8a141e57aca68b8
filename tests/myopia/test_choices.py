"""An answer kept to options is always one of them."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from myopia.choices import Choices
from myopia.errors import BadRequest
from myopia.params import Sampling
from myopia.sampling import Sampler
from tests.myopia.test_streaming import TOKENIZERS

STOP = frozenset({2})
tokenizers = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())


@tokenizers
@settings(max_examples=100, deadline=None)
@given(
    options=st.lists(
        st.text(alphabet="yesno1", min_size=1, max_size=5), min_size=1, max_size=6, unique=True
    ),
    seed=st.integers(0, 1000),
)
def test_any_walk_ends_at_an_option(tokenizer: Any, options: list[str], seed: int) -> None:
    choices = Choices(tokenizer, options, STOP)
    sampler = Sampler(Sampling(temperature=1, seed=seed))
    walked = 0
    while choices.decided is None:
        logits = torch.zeros(40_000)
        token = sampler.choose(logits, choices.allowed())
        choices.push(token)
        walked += 1
        assert walked <= choices.longest + 1
    assert 0 <= choices.decided < len(options)


@tokenizers
def test_an_option_that_begins_another(tokenizer: Any) -> None:
    options = ["1", "10"]
    choices = Choices(tokenizer, options, STOP)
    one, ten = (tokenizer(text, add_special_tokens=False).input_ids for text in options)
    for token in one:
        choices.push(token)
    assert choices.decided is None
    assert 2 in choices.allowed()
    choices.push(2)
    assert choices.decided == 0
    choices = Choices(tokenizer, options, STOP)
    for token in ten:
        choices.push(token)
    assert choices.decided == 1


@tokenizers
def test_settling_takes_what_ends_here(tokenizer: Any) -> None:
    choices = Choices(tokenizer, ["1", "10"], STOP)
    choices.settle()
    assert choices.decided is None
    for token in tokenizer("1", add_special_tokens=False).input_ids:
        choices.push(token)
    choices.settle()
    assert choices.decided == 0


@tokenizers
@pytest.mark.parametrize("options", [["a", "a"], ["a", " a "], [""], ["a", "  "]])
def test_options_a_model_cannot_tell_apart(tokenizer: Any, options: list[str]) -> None:
    with pytest.raises(BadRequest, match="option") as caught:
        Choices(tokenizer, options, STOP)
    assert caught.value.field == "/options"


def test_special_tokens_in_options_are_text() -> None:
    tokenizer = TOKENIZERS["sentencepiece"]
    choices = Choices(tokenizer, ["</s>", "<image>"], STOP)
    assert not set(choices.allowed()) & set(tokenizer.all_special_ids)
