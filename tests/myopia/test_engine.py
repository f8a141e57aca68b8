"""The engine answers as stock `generate()` does, and rows do not know each other."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoProcessor, LlavaNextForConditionalGeneration

from myopia.engine import Engine, EngineConfig
from myopia.loading import Checkpoint, load
from myopia.params import Pruning, Sampling
from tests.myopia.engine_runs import CONFIG, MIB, asking, picture, run


@pytest.fixture(scope="module", params=["mistral", "vicuna"])
def folder(request: pytest.FixtureRequest, mistral_folder: Path, vicuna_folder: Path) -> Path:
    return mistral_folder if request.param == "mistral" else vicuna_folder


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Checkpoint:
    return load(str(folder))


Stock = tuple[Any, Any]


@pytest.fixture(scope="module")
def stock(folder: Path) -> Stock:
    """The stock model and processor."""
    model = LlavaNextForConditionalGeneration.from_pretrained(folder)
    return model, AutoProcessor.from_pretrained(folder)


def stock_tokens(stock: Stock, images: list[Any], text: str, count: int) -> tuple[list[int], str]:
    model, processor = stock
    content = [*({"type": "image"} for _ in images), {"type": "text", "text": text}]
    rendered = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    inputs = processor(images=images, text=rendered, return_tensors="pt")
    made = model.generate(**inputs, max_new_tokens=count, do_sample=False)
    ids = made[0, inputs.input_ids.shape[1] :]
    return ids.tolist(), processor.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("sizes", [[(336, 336)], [(320, 250), (90, 300)]])
@pytest.mark.parametrize("piece_tokens", [512, 5000])
def test_full_budget_is_stock_generate(
    stock: Stock, checkpoint: Checkpoint, sizes: list[tuple[int, int]], piece_tokens: int
) -> None:
    pictures = [picture(seed, *size) for seed, size in enumerate(sizes)]
    text = "which image shows a red circle?"
    engine = Engine(checkpoint, EngineConfig(kv_bytes=16 * MIB, piece_tokens=piece_tokens))
    request = asking(
        "ask_full", *pictures, text, pruning=Pruning(budget=1), sampling=Sampling(max_tokens=24)
    )
    tokens, finished = run(engine, request)["ask_full"]
    expected, said = stock_tokens(stock, [one.image for one in pictures], text, 24)
    assert tokens == expected
    assert finished.answer == said.strip()
    assert finished.usage.kv_bytes == finished.usage.kv_bytes_full
    assert len(set(tokens)) > 3, "a model that repeats itself shows nothing"


def test_budget_is_kept_on_the_tensors(checkpoint: Checkpoint) -> None:
    """The image KV of a row at budget .2, bins included, is at most .2 of the full image KV."""
    pictures = [picture(seed) for seed in range(3)]
    text = "what colour is the star in picture two?"
    sampling = Sampling(max_tokens=40)
    engine = Engine(checkpoint, CONFIG)
    requests = [
        asking("ask_part", *pictures, text, tiles="base", sampling=sampling),
        asking(
            "ask_full", *pictures, text, tiles="base", sampling=sampling, pruning=Pruning(budget=1)
        ),
    ]
    for request in requests:
        engine.add(request)
    while len(engine.slots.places) < 2:
        assert not [output for output in engine.step() if output.ends]
    rows = engine._running.copy()
    text_tokens = rows["ask_full"].usage.text_tokens
    per_token = 2 * checkpoint.key_heads * checkpoint.head_dim * checkpoint.dtype.itemsize
    held = {}
    for ask_id, row in rows.items():
        assert row.place is not None
        answered = len(row.tokens) - 1
        held[ask_id] = sum(filled - answered - text_tokens for filled in row.place.filled)
    ratio = held["ask_part"] / held["ask_full"]
    usage = rows["ask_part"].usage
    print(
        f"\n{checkpoint.name}: image KV {held['ask_part'] * per_token} of "
        f"{held['ask_full'] * per_token} bytes = {ratio:.4f} at budget 0.2 "
        f"({usage.kept_tokens:g} tokens + {usage.bin_tokens:g} bins of {usage.image_tokens})"
    )
    assert held["ask_full"] == 3 * 576 * checkpoint.layers
    assert held["ask_part"] <= 0.2 * held["ask_full"] + 3 * checkpoint.layers
    assert ratio > 0.19
    while engine.has_work:
        engine.step()


def test_first_token_is_that_of_the_full_cache(checkpoint: Checkpoint) -> None:
    """Pruning comes after the prompt is read: it cannot change the first token."""
    sampling = Sampling(max_tokens=12, logprobs=3)
    asks = [
        asking(
            f"ask_{budget}",
            picture(1),
            picture(2),
            "describe first",
            tiles="base",
            sampling=sampling,
            pruning=Pruning(budget=budget),
        )
        for budget in (1.0, 0.2, 0.02)
    ]
    made = run(Engine(checkpoint, CONFIG), *asks)
    firsts = {ask_id: finished.logprobs[0] for ask_id, (_, finished) in made.items()}
    assert len({first.token for first in firsts.values()}) == 1
    assert max(abs(f.logprob - firsts["ask_1.0"].logprob) for f in firsts.values()) < 1e-5
    assert made["ask_0.02"][0] != made["ask_1.0"][0], "so small a cache changes nothing?"


def test_question_without_pictures(checkpoint: Checkpoint) -> None:
    request = asking("ask_text", "where does it move", sampling=Sampling(max_tokens=4))
    tokens, finished = run(Engine(checkpoint, CONFIG), request)["ask_text"]
    assert len(tokens) == 4
    assert finished.usage.image_tokens == 0
    assert finished.usage.budget_effective == 1
