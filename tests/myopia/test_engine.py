"""The engine answers as stock `generate()` does, and rows do not know each other."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoProcessor, LlavaNextForConditionalGeneration

from myopia.engine import Engine
from myopia.loading import Checkpoint, load
from myopia.params import Picture, Pruning, Request, Sampling, Turn
from myopia.report import Finished
from myopia.sizes import EngineConfig
from tests.myopia.tiny import draw

MIB = 2**20
CONFIG = EngineConfig(kv_bytes=64 * MIB)


def picture(seed: int, width: int = 336, height: int = 336) -> Picture:
    return Picture(draw(seed, width, height), f"{seed}-{width}x{height}")


def asking(ask_id: str, *parts: Picture | str, **fields: Any) -> Request:
    return Request(ask_id, (Turn("user", parts),), **fields)


def run(engine: Engine, *requests: Request) -> dict[str, tuple[list[int], Finished]]:
    """Add all, step until nothing is left; tokens and ending by ask."""
    for request in requests:
        engine.add(request)
    tokens: dict[str, list[int]] = {request.ask_id: [] for request in requests}
    texts: dict[str, str] = dict.fromkeys(tokens, "")
    ended: dict[str, Finished] = {}
    while engine.has_work:
        for output in engine.step():
            assert output.ask_id not in ended
            assert output.failed is None, repr(output.failed.__cause__ or output.failed)
            tokens[output.ask_id] += output.tokens
            texts[output.ask_id] += output.text
            if output.finished is not None:
                ended[output.ask_id] = output.finished
                assert texts[output.ask_id] == output.finished.answer
    assert engine.slots.extents.held == {}
    return {ask_id: (tokens[ask_id], ended[ask_id]) for ask_id in tokens}


def stock_tokens(folder: Path, images: list[Any], text: str, count: int) -> tuple[list[int], str]:
    model = LlavaNextForConditionalGeneration.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)
    content = [*({"type": "image"} for _ in images), {"type": "text", "text": text}]
    rendered = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True
    )
    inputs = processor(images=images, text=rendered, return_tensors="pt")
    made = model.generate(**inputs, max_new_tokens=count, do_sample=False)
    ids = made[0, inputs.input_ids.shape[1] :]
    return ids.tolist(), processor.decode(ids, skip_special_tokens=True)


@pytest.fixture(scope="module", params=["mistral", "vicuna"])
def folder(request: pytest.FixtureRequest, mistral_folder: Path, vicuna_folder: Path) -> Path:
    return mistral_folder if request.param == "mistral" else vicuna_folder


@pytest.fixture(scope="module")
def checkpoint(folder: Path) -> Checkpoint:
    return load(str(folder))


@pytest.mark.parametrize("sizes", [[(336, 336)], [(320, 250), (90, 300)]])
@pytest.mark.parametrize("piece_tokens", [512, 5000])
def test_full_budget_is_stock_generate(
    folder: Path, checkpoint: Checkpoint, sizes: list[tuple[int, int]], piece_tokens: int
) -> None:
    pictures = [picture(seed, *size) for seed, size in enumerate(sizes)]
    text = "which image shows a red circle?"
    engine = Engine(checkpoint, EngineConfig(kv_bytes=64 * MIB, piece_tokens=piece_tokens))
    request = asking(
        "ask_full", *pictures, text, pruning=Pruning(budget=1), sampling=Sampling(max_tokens=24)
    )
    tokens, finished = run(engine, request)["ask_full"]
    expected, said = stock_tokens(folder, [one.image for one in pictures], text, 24)
    assert tokens == expected
    assert finished.answer == said.strip()
    assert finished.usage.kv_bytes == finished.usage.kv_bytes_full
    assert len(set(tokens)) > 3, "a model that repeats itself shows nothing"
