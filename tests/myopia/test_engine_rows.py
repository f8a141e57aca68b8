"""Rows of a batch do not know each other, and a pruned row is the full one with keys hidden."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import DynamicCache

import myopia.reading
from myopia.attention import attending
from myopia.engine import Engine, EngineConfig
from myopia.loading import Checkpoint, load
from myopia.params import Picture, Pruning, Request, Sampling
from myopia.pruning import Survivors
from myopia.report import Finished
from tests.myopia.engine_runs import CONFIG, MIB, asking, picture, run


@pytest.fixture(scope="module")
def checkpoint(small_tiles_folder: Path) -> Checkpoint:
    return load(str(small_tiles_folder))


def varied() -> list[Request]:
    """Asks that differ in everything a row may differ in."""
    prunings = [
        Pruning(),
        Pruning(budget=1),
        Pruning(policy="h2o", budget=0.1),
        Pruning(head_mode="wise", budget=0.3),
        Pruning(policy="snapkv", budget=0.05),
        Pruning(policy="pyramidkv", budget=0.2),
        Pruning(bin_mode="paper", gamma=1, alpha=0.2),
        Pruning(layer_budgets="pyramid", budget=0.15),
    ]
    words = ["which image", "describe last", "what colour is the star in picture two", "where"]
    return [
        asking(
            f"ask_{number}",
            *(picture(10 * number + k, 300, 200 + 50 * k) for k in range(3 + number % 3)),
            words[number % 4],
            tiles=("max", "base")[number // 4],
            pruning=pruning,
            sampling=Sampling(
                max_tokens=4 + 3 * (number % 4),
                temperature=0.8 * (number % 2),
                top_p=0.9,
                seed=number,
                logprobs=2,
            ),
        )
        for number, pruning in enumerate(prunings)
    ]


def assert_same(one: tuple[list[int], Finished], other: tuple[list[int], Finished]) -> None:
    assert one[0] == other[0]
    assert one[1].answer == other[1].answer
    assert one[1].logprobs is not None
    assert other[1].logprobs is not None
    for mine, theirs in zip(one[1].logprobs, other[1].logprobs, strict=True):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=1e-4)


def test_many_together_equal_each_alone(checkpoint: Checkpoint) -> None:
    requests = varied()
    alone = {}
    for request in requests:
        alone |= run(Engine(checkpoint, CONFIG), request)
    together = run(Engine(checkpoint, CONFIG), *requests)
    assert len({tuple(tokens) for tokens, _ in alone.values()}) == len(requests)
    for ask_id, answered in together.items():
        assert_same(answered, alone[ask_id])


def test_order_of_arrival_changes_nothing(checkpoint: Checkpoint) -> None:
    requests = varied()
    together = run(Engine(checkpoint, CONFIG), *requests)
    engine = Engine(checkpoint, EngineConfig(kv_bytes=MIB // 2, most_rows=3, gap_seconds=0))
    backwards = run(engine, *reversed(requests))
    for ask_id, answered in backwards.items():
        assert_same(answered, together[ask_id])


def test_what_was_cached_changes_nothing(checkpoint: Checkpoint) -> None:
    requests = varied()
    engine = Engine(checkpoint, CONFIG)
    cold = run(engine, *requests)
    assert {finished.cache.prefill for _, finished in cold.values()} == {"none"}
    warm = run(engine, *requests)
    for ask_id, answered in warm.items():
        assert_same(answered, cold[ask_id])
    kinds = [finished.cache.prefill for _, finished in warm.values()]
    assert kinds.count("exact") >= 6, kinds


Recorded = list[list[Survivors]]


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    """Survivors of every row that is pruned."""
    kept: Recorded = []
    prune = myopia.reading.prune_row

    def record(*args: Any) -> list[Survivors]:
        kept.append(prune(*args))
        return kept[-1]

    monkeypatch.setattr("myopia.reading.prune_row", record)
    return kept


def masked_logits(
    checkpoint: Checkpoint,
    ids: torch.Tensor,
    pictures: list[Picture],
    survivors: list[Survivors],
    tokens: list[int],
) -> torch.Tensor:
    """Logits after each token by the full cache, hiding exactly the keys that were dropped."""
    model: Any = checkpoint.model
    pixels = checkpoint.image_processor([one.image for one in pictures], return_tensors="pt")
    features = model.get_image_features(**pixels).pooler_output
    embedded = model.get_input_embeddings()(ids)[None]
    embedded[0, ids == checkpoint.image_token_id] = torch.cat(features)
    cache = DynamicCache(config=checkpoint.text_config)
    model.model.language_model(inputs_embeds=embedded, past_key_values=cache)

    def hiding(
        module: Any, query: Any, key: Any, value: Any, mask: Any, scaling: float
    ) -> torch.Tensor:
        positions = survivors[module.layer_idx].positions
        seen = torch.zeros(key.shape[1], key.shape[2], dtype=torch.bool)
        seen.scatter_(1, positions.expand(key.shape[1], -1), True)
        seen[:, len(ids) :] = True
        groups = query.shape[1] // key.shape[1]
        return scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=seen.repeat_interleave(groups, 0)[None, :, None],
            scale=scaling,
            enable_gqa=True,
        ).transpose(1, 2)

    logits = []
    for count, token in enumerate(tokens):
        with attending(hiding):
            hidden = model.model.language_model(
                inputs_embeds=model.get_input_embeddings()(torch.tensor([[token]])),
                position_ids=torch.tensor([[len(ids) + count]]),
                past_key_values=cache,
            ).last_hidden_state
        logits.append(model.lm_head(hidden[0, -1]))
    return torch.stack(logits)


@pytest.mark.parametrize(
    "pruning",
    [
        Pruning(budget=0.1, bin_mode="off"),
        Pruning(budget=0.1, bin_mode="off", head_mode="wise"),
        Pruning(policy="pyramidkv", budget=0.1),
        Pruning(policy="uniform", budget=0.05),
    ],
    ids=lambda pruning: f"{pruning.policy}-{pruning.head_mode}",
)
def test_dropping_is_hiding(checkpoint: Checkpoint, recorded: Recorded, pruning: Pruning) -> None:
    """A row decodes as the full cache does with the same keys masked, at the same positions."""
    pictures = [picture(31), picture(32, 400, 90), picture(33)]
    request = asking(
        "ask_hide",
        *pictures,
        "which image shows a star",
        pruning=pruning,
        sampling=Sampling(max_tokens=10, logprobs=1),
    )
    engine = Engine(checkpoint, CONFIG)
    engine.add(request)
    ids = torch.tensor(engine._waiting["ask_hide"].prompt.ids)
    tokens, finished = run_on(engine)
    (survivors,) = recorded
    assert sum(layer.keys.shape[1] for layer in survivors) < 3 * len(ids) // 4
    with torch.inference_mode():
        logits = masked_logits(checkpoint, ids, pictures, survivors, tokens[:-1])
    assert logits.argmax(-1).tolist() == tokens[1:]
    assert finished.logprobs is not None
    logs = torch.log_softmax(logits, -1)
    for row, (token, told) in enumerate(zip(tokens[1:], finished.logprobs[1:], strict=True)):
        # logits reach 20 here and the reference runs unfused products: 1e-4 is rounding
        assert told.logprob == pytest.approx(float(logs[row, token]), abs=1e-4)


def run_on(engine: Engine) -> tuple[list[int], Finished]:
    tokens: list[int] = []
    while True:
        for output in engine.step():
            tokens += output.tokens
            if output.finished is not None:
                return tokens, output.finished
            assert output.failed is None, repr(output.failed)


def test_explanations_come_with_the_ending(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, CONFIG)
    pictures = [picture(1), picture(2)]
    sampling = Sampling(max_tokens=2)
    asks = [
        asking("ask_part", *pictures, "what", explain=True, sampling=sampling),
        asking("ask_full", *pictures, "what", explain=True, pruning=Pruning(budget=1)),
        asking("ask_small", *pictures, "what", explain=True, reuse="compressed"),
        asking("ask_mute", *pictures, "what", sampling=sampling),
    ]
    made = run(engine, *asks)
    told = made["ask_part"][1].explain
    assert told is not None
    json.dumps(told)
    kept = sum(image["groups"][0]["kept"] for image in told["images"])
    assert kept == pytest.approx(made["ask_part"][1].usage.kept_tokens, abs=0.1)
    whole = made["ask_full"][1].explain
    assert whole is not None
    assert sum(image["groups"][0]["kept"] for image in whole["images"]) == pytest.approx(
        made["ask_full"][1].usage.image_tokens, abs=0.1
    )
    assert made["ask_small"][1].explain is None
    assert "explain" in made["ask_small"][1].warnings[0]
    assert made["ask_mute"][1].explain is None
