"""One workload, done by the engine and by stock `generate()`: sequentially, and in one batch.

Every function gets the same pictures and returns seconds. Nothing is cached between calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from transformers.modeling_outputs import BaseModelOutputWithPooling

from bench.speed.clock import now
from bench.speed.subjects import Subject
from myopia.engine import Engine, EngineConfig
from myopia.params import Picture, Pruning, Request, Sampling, Turn
from myopia.prompt import build_prompt

QUESTION = "Which image shows a red circle?"


@dataclass(frozen=True, slots=True)
class Workload:
    """How many asks come at once, with how many pictures, for how many tokens."""

    name: str
    asks: int
    pictures: int
    tokens: int


def draw(seed: int, count: int, edge: int) -> list[Picture]:
    """Pictures nobody has seen, so that nothing can be cached."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, size=(count, 8, 8, 3), dtype=np.uint8)
    return [
        Picture(Image.fromarray(one).resize((edge, edge)), f"{seed}-{number}")
        for number, one in enumerate(small)
    ]


def requests(subject: Subject, work: Workload, seed: int, **fields: Any) -> list[Request]:  # noqa: ANN401
    """The workload's asks, with pictures of their own."""
    edge = subject.checkpoint.tiling.tile
    return [
        Request(
            f"ask_{number}",
            (Turn("user", (*draw(1000 * seed + number, work.pictures, edge), QUESTION)),),
            **{
                "tiles": subject.tiles,
                "reuse": "none",
                "sampling": Sampling(max_tokens=work.tokens),
                **fields,
            },
        )
        for number in range(work.asks)
    ]


def make_engine(subject: Subject, **sizes: Any) -> Engine:  # noqa: ANN401
    """An engine large enough for every workload, that caches nothing unless told to."""
    own = {"kv_bytes": subject.scale.kv_bytes, "most_rows": 64}
    chosen = {**own, "feature_bytes": 0, "prefix_bytes": 0}
    return Engine(subject.checkpoint, EngineConfig(**{**chosen, **sizes}))


def by_engine(engine: Engine, asks: Sequence[Request], budget: float) -> float:
    """All asks at once."""
    began = now()
    for ask in asks:
        engine.add(_with_budget(ask, budget))
    made = 0
    while engine.has_work:
        made += sum(len(output.tokens) for output in engine.step())
    assert made == sum(ask.sampling.max_tokens for ask in asks)
    return now() - began


def by_stock(subject: Subject, asks: Sequence[Request], *, together: bool) -> float:
    """Stock `generate()` on the same token ids and pictures, one by one or as one static batch."""
    began = now()
    groups = [list(asks)] if together else [[ask] for ask in asks]
    for group in groups:
        with torch.inference_mode():
            made = subject.stock.generate(
                **stock_inputs(subject, group),
                max_new_tokens=group[0].sampling.max_tokens,
            )
        assert made.shape[0] == len(group)
    return now() - began


def stock_inputs(subject: Subject, asks: Sequence[Request]) -> dict[str, Any]:
    """What stock `generate()` is given: ids of the same prompts, and the pictures' pixels.

    With base tiles only (which the stock processor cannot make) the features are cut to them.
    """
    pictures = [part for ask in asks for part in ask.turns[0].parts if isinstance(part, Picture)]
    pixels = subject.checkpoint.image_processor(
        [picture.image for picture in pictures], return_tensors="pt"
    )
    ids = torch.tensor([build_prompt(subject.checkpoint, ask).ids for ask in asks])
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if subject.tiles == "max":
        return {**inputs, **pixels}
    base = subject.checkpoint.tiling.side**2
    model = subject.stock.model
    seen = model.vision_tower(pixels["pixel_values"][:, 0], output_hidden_states=True)
    layer = subject.stock.config.vision_feature_layer
    features = model.multi_modal_projector(seen.hidden_states[layer][:, 1:])
    assert features.shape[1] == base
    per_picture: Any = list(features)  # a list is what the model's own output holds there
    encoded = BaseModelOutputWithPooling(pooler_output=per_picture)
    return {**inputs, "mm_encoder_outputs": {"image": encoded}}


def _with_budget(ask: Request, budget: float) -> Request:
    policy: Literal["full", "myopia"] = "full" if budget >= 1 else "myopia"
    return replace(ask, pruning=Pruning(policy=policy, budget=budget))
