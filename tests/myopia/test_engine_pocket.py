"""On the shipped pocket: stock tokens at budget 1, the measured cache at .2, words it lacks."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoProcessor, LlavaNextForConditionalGeneration

from myopia.engine import Engine
from myopia.errors import BadRequest
from myopia.loading import Checkpoint, load
from myopia.params import Picture, Pruning, Sampling
from tests.myopia.engine_runs import CONFIG, asking, picture, run

POCKET = Path(__file__).parents[2] / "pocket" / "weights"
pytestmark = pytest.mark.skipif(
    not (POCKET / "model.safetensors").exists(), reason="the pocket has no weights yet"
)
QUESTION = "Which image shows a red circle?"
SIZES = [(64, 64), (200, 120), (90, 300), (640, 480)]


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    return load(str(POCKET))


@pytest.fixture(scope="module")
def stock() -> tuple[Any, Any]:
    return (
        LlavaNextForConditionalGeneration.from_pretrained(POCKET),
        AutoProcessor.from_pretrained(POCKET),
    )


def pictures(count: int) -> list[Picture]:
    return [picture(seed, *SIZES[seed % len(SIZES)]) for seed in range(count)]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_full_budget_is_stock_generate(
    checkpoint: Checkpoint, stock: tuple[Any, Any], count: int
) -> None:
    model, processor = stock
    content = [{"type": "image"}] * count + [{"type": "text", "text": QUESTION}]
    rendered = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    images = [one.image for one in pictures(count)]
    inputs = processor(images=images, text=rendered, return_tensors="pt", add_special_tokens=False)
    made = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    expected = made[0, inputs.input_ids.shape[1] :].tolist()
    request = asking(
        "ask_stock",
        *pictures(count),
        QUESTION,
        pruning=Pruning(budget=1),
        sampling=Sampling(max_tokens=12),
    )
    tokens, finished = run(Engine(checkpoint, CONFIG), request)["ask_stock"]
    assert tokens == expected
    assert finished.answer == processor.decode(expected, skip_special_tokens=True).strip()
    assert finished.warnings == ()


def test_measured_cache_at_a_fifth(checkpoint: Checkpoint) -> None:
    part = asking("ask_part", *pictures(5), QUESTION)
    full = asking("ask_full", *pictures(5), QUESTION, pruning=Pruning(budget=1))
    made = run(Engine(checkpoint, CONFIG), part, full)
    per_token = checkpoint.layers * checkpoint.slot_bytes
    texts = made["ask_full"][1].usage.text_tokens * per_token
    image = {ask_id: finished.usage.kv_bytes - texts for ask_id, (_, finished) in made.items()}
    usage = made["ask_part"][1].usage
    counts = int(usage.bin_tokens * checkpoint.layers) * checkpoint.key_heads * 4
    print(f"\npocket: {image['ask_part']} (of it {counts} log-counts) of {image['ask_full']} bytes")
    assert usage.bin_tokens > 0
    assert image["ask_part"] - counts <= 0.2 * image["ask_full"] + 5 * per_token


def test_unknown_words_are_named(checkpoint: Checkpoint) -> None:
    request = asking("ask_words", picture(1), "Which image shows a zeppelin?")
    (warning,) = run(Engine(checkpoint, CONFIG), request)["ask_words"][1].warnings
    assert "'zeppelin'" in warning
    assert "circle" not in warning


def test_options_it_cannot_read_are_refused(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, CONFIG)
    engine.add(asking("ask_two", picture(1), QUESTION, options=("zeppelin", "submarine")))
    (output,) = engine.step()
    assert isinstance(output.failed, BadRequest)
    assert output.failed.field == "/options"
    engine.add(asking("ask_case", picture(1), QUESTION, options=("Yes", "No")))
    answer = ""
    while engine.has_work:
        for output in engine.step():
            answer += output.text
    assert answer in {"Yes", "No"}
