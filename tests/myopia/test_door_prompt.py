"""Images are found in ids, whether sizes or only features are known."""

from typing import Any

import pytest
import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from myopia.door_prompt import _likely, _tiling, read_prompts, special_ids
from myopia.errors import BadRequest
from tests.myopia.small import IMAGE, TILING, small_inputs, small_model
from tests.myopia.tiny import tiny_config

CONFIG = small_model().config


def features(*counts: int) -> dict[str, Any]:
    parts = [torch.zeros(count, 4) for count in counts]
    return {"image": BaseModelOutputWithPooling(pooler_output=parts)}


def test_sizes_and_features_tell_the_same_spans() -> None:
    sizes = [(28, 28), (28, 56), (56, 56), (40, 30), (30, 55)]
    inputs = small_inputs(sizes[:2], sizes[2:])
    by_size = read_prompts(CONFIG, inputs)
    counts = [TILING.span(0, size, "max").length for size in sizes]
    blind = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
    by_count = read_prompts(CONFIG, {**blind, "mm_encoder_outputs": features(*counts)})
    assert by_size == by_count


def test_real_sizes_are_recovered_from_their_counts() -> None:
    config = tiny_config("mistral")

    tiling = _tiling(config)
    for size in [(336, 336), (480, 640), (1080, 1920), (300, 900), (640, 480), (375, 500)]:
        wanted = tiling.span(0, size, "max")
        assert _likely(wanted.length, tiling) == wanted


def test_base_tiles_alone_are_squares_and_odd_counts_are_rows() -> None:

    assert _likely(16, TILING).base == (4, 4)
    assert _likely(7, TILING).base == (1, 7)


def test_asking_rows_leave_special_tokens_out() -> None:
    inputs = small_inputs([(28, 28)], tail=4)
    inputs["input_ids"][0, -2] = 2  # end of text
    layout = read_prompts(CONFIG, inputs)[0].layout
    end = layout.length
    assert layout.text_rows == (end - 4, end - 3, end - 1)
    assert special_ids(CONFIG) == {0, 1, 2, IMAGE}


def test_placeholders_and_pictures_must_match() -> None:
    inputs = small_inputs([(28, 28), (28, 28)])
    short = {**inputs, "image_sizes": inputs["image_sizes"][:1]}
    with pytest.raises(BadRequest, match="more image placeholders"):
        read_prompts(CONFIG, short)
    long = {**inputs, "image_sizes": inputs["image_sizes"].repeat(2, 1)}
    with pytest.raises(BadRequest, match="4 pictures"):
        read_prompts(CONFIG, long)
    cut = {**inputs, "input_ids": inputs["input_ids"][:, :20], "attention_mask": None}
    with pytest.raises(BadRequest, match="for_inputs"):
        read_prompts(CONFIG, cut)
