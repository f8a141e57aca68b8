"""The reckoning of asks per GPU, by numbers done by hand."""

import pytest

from bench.scale.reckoning import (
    H100,
    MISTRAL,
    VICUNA,
    Gpu,
    Load,
    Model,
    asks_per_second,
    prefill_seconds,
    rows,
)

# 1 GB of weights, 1 KB of KV per token; a device that does 10^12 and moves 10^9 a second.
MODEL = Model("tiny", 0.5e9, 1, 256, 1, 256, 10_000)
GPU = Gpu("slow", 1e12, 1e9, 2e9, reached=1.0)
LOAD = Load(pictures=4, tokens_per_picture=250, text_tokens=20, answer_tokens=10)


def test_bytes_per_token() -> None:
    assert MISTRAL.kv_bytes_per_token == 2 * 32 * 8 * 128 * 2 == 131072
    assert VICUNA.kv_bytes_per_token == 4 * MISTRAL.kv_bytes_per_token
    assert MODEL.kv_bytes_per_token == 1024


def test_prefill() -> None:
    # 2 x 0.5e9 x 1020 for the weights, 2 x 1 x 256 x 1020² for attention, at 1e12 a second
    assert prefill_seconds(MODEL, GPU, LOAD) == pytest.approx(1.02 + 0.00053, abs=1e-4)


def test_rows() -> None:
    # 0.85 x 2e9 - 1e9 - 1020 x 1024 bytes are free; a whole row has 1025 tokens, a fifth 225
    free = 0.85 * 2e9 - 1e9 - 1020 * 1024
    assert LOAD.kept_tokens(1.0) == 1025
    assert LOAD.kept_tokens(0.2) == 225
    assert free // (1025 * 1024) == 665
    big = Load(pictures=4, tokens_per_picture=2500, text_tokens=20, answer_tokens=10)
    assert rows(MODEL, GPU, big, 1.0) == 0  # longer than the context
    wide = Model("wide", 0.5e9, 8, 256, 1, 256, 10_000)
    assert rows(wide, GPU, LOAD, 1.0) == int((0.7e9 - 1020 * 8192) // (1025 * 8192)) == 82


def test_asks_per_second() -> None:
    # rows are capped at 256: a step moves 1e9 / 256 + 1025 x 1024 bytes per row at 1e9 a second
    step = (1e9 / 256 + 1025 * 1024) / 1e9
    assert asks_per_second(MODEL, GPU, LOAD, 1.0) == pytest.approx(1 / (1.02053 + 10 * step), 1e-3)


def test_a_smaller_budget_is_never_slower() -> None:
    for model in (MISTRAL, VICUNA):
        load = Load(pictures=5, tokens_per_picture=576, text_tokens=60, answer_tokens=64)
        rates = [asks_per_second(model, H100, load, budget) for budget in (1.0, 0.5, 0.2, 0.1)]
        assert rates == sorted(rates)
        assert rates[0] > 0
