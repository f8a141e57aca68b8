"""Where answers end, what they carry, and that nobody starves for one."""

from dataclasses import replace
from pathlib import Path

import pytest
from transformers import AutoProcessor

from myopia.engine import Engine, EngineConfig
from myopia.loading import Checkpoint, load
from myopia.params import Sampling
from tests.myopia.engine_runs import CONFIG, MIB, asking, picture, run

LONG = Sampling(max_tokens=30)


@pytest.fixture(scope="module")
def checkpoint(small_tiles_folder: Path) -> Checkpoint:
    return load(str(small_tiles_folder))


def test_options_stops_and_logprobs(checkpoint: Checkpoint) -> None:
    engine = Engine(checkpoint, CONFIG)
    options = ("yes", "no", "the last picture", "the first picture")
    asks = [
        asking(
            f"ask_{n}",
            picture(n),
            "what",
            tiles="base",
            options=options,
            sampling=Sampling(temperature=n % 2, seed=n, logprobs=2, max_tokens=16),
        )
        for n in range(4)
    ]
    for tokens, finished in run(engine, *asks).values():
        assert finished.answer in options
        assert finished.reason == "stop"
        assert finished.logprobs is not None
        assert len(finished.logprobs) == len(tokens)
        assert all(len(one.top) == 2 for one in finished.logprobs)
    plain = asking("ask_free", picture(1), "what", tiles="base", sampling=LONG)
    free = run(engine, plain)["ask_free"]
    stop = free[1].answer[7:12]
    cut = run(engine, replace(plain, sampling=replace(LONG, stop=(stop,))))["ask_free"]
    assert cut[1].reason == "stop"
    assert cut[1].answer == free[1].answer[: free[1].answer.index(stop)].rstrip()
    assert free[1].reason == "length"


def test_the_answer_ends_where_the_context_does(vicuna_folder: Path) -> None:
    checkpoint = load(str(vicuna_folder))
    pictures = [picture(k) for k in range(7)]
    request = asking("ask_edge", *pictures, "x", tiles="base", sampling=Sampling(max_tokens=100))
    prompt_tokens = len(AutoProcessor.from_pretrained(vicuna_folder).tokenizer("x").input_ids)
    assert prompt_tokens < 4
    tokens, finished = run(Engine(checkpoint, CONFIG), request)["ask_edge"]
    assert len(tokens) == 4096 - finished.usage.prompt_tokens < 100
    assert finished.reason == "length"
    assert "leaves room for" in finished.warnings[0]


def test_running_rows_are_not_starved(checkpoint: Checkpoint) -> None:
    """While 16 pictures are read, a running row gets a token after every bounded piece."""
    engine = Engine(checkpoint, EngineConfig(kv_bytes=16 * MIB, gap_seconds=0, piece_tokens=8))
    engine.add(asking("ask_run", "where", sampling=Sampling(max_tokens=400)))
    while engine.stats().running == 0:
        engine.step()
    engine.add(asking("ask_big", *(picture(k) for k in range(16)), "x", tiles="base"))
    steps = 0
    while engine._reading or engine._waiting:
        outputs = engine.step()
        steps += 1
        assert [output.ask_id for output in outputs if output.tokens].count("ask_run") == 1
    assert steps >= 16 * 16 // 8 + 16
