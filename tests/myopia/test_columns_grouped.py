"""Sums of grouped rows: exact where they promise to be, near elsewhere, and nothing is lost."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from myopia import columns_grouped
from myopia.columns import column_sums, row_lse
from myopia.columns_grouped import Grouping, grouped_sums
from myopia.engine import Engine
from myopia.flash import attend_with_lse
from myopia.loading import load
from myopia.params import Sampling
from myopia.sampling_plan import cumulative_rows
from tests.myopia.engine_runs import CONFIG, asking, picture, run

SCALING = 0.25


def draw(heads: int, tokens: int, width: int = 16) -> torch.Tensor:
    return torch.randn(heads, tokens, width, generator=torch.Generator().manual_seed(tokens))


def exact(query: torch.Tensor, key: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    rows = torch.arange(key.shape[1] - query.shape[1], key.shape[1])
    return column_sums(query, key, rows, counts, SCALING)


def estimated(
    query: torch.Tensor, key: torch.Tensor, counts: torch.Tensor, *grouping: int
) -> torch.Tensor:
    rows = torch.arange(key.shape[1] - query.shape[1], key.shape[1])
    lse = row_lse(query, key, rows, SCALING)
    return grouped_sums(query, key, lse, counts, SCALING, Grouping(*grouping))


@pytest.mark.parametrize(("query_heads", "heads", "start"), [(2, 2, 0), (4, 2, 0), (4, 2, 19)])
def test_rows_that_are_alike_in_their_groups_are_summed_exactly(
    query_heads: int, heads: int, start: int
) -> None:
    """Three stretches of equal queries per block: the groups' means are the rows themselves."""
    key = draw(heads, start + 63)
    kinds = draw(query_heads, 12)  # four blocks of three kinds, and one block of three rows
    query = torch.cat([kinds.repeat_interleave(5, 1), draw(query_heads, 3)], 1)
    ones = torch.ones(63)
    found = estimated(query, key, ones, 15, 3)
    torch.testing.assert_close(found, exact(query, key, ones), atol=1e-5, rtol=1e-5)


def test_one_block_is_exact_whatever_its_rows_are() -> None:
    query, key, counts = draw(4, 40), draw(2, 40), torch.rand(40).round()
    found = estimated(query, key, counts, 64, 2)
    torch.testing.assert_close(found, exact(query, key, counts), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("start", [0, 25])
def test_no_attention_is_lost_and_what_is_near_is_exact(start: int) -> None:
    query, key = draw(4, 90), draw(2, start + 90)
    counts = torch.ones(90)
    counts[[3, 40, 41, 77]] = 0
    found = estimated(query, key, counts, 20, 2)
    torch.testing.assert_close(found.sum(-1), torch.full((2,), 86.0), atol=1e-3, rtol=0)
    wanted = exact(query, key, counts)
    last = start + 80  # only rows of the last block see its keys
    torch.testing.assert_close(found[:, last:], wanted[:, last:], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(found[:, :start], wanted[:, :start], atol=1e-3) or start == 0


def test_rows_that_do_not_count_change_nothing() -> None:
    query, key, counts = draw(2, 60), draw(2, 60), torch.ones(60)
    out = torch.tensor([20, 21, 23, 24, 25, 27, 28, 29])  # 22 and 26 are seeds of groups
    counts[out] = 0
    other = query.clone()
    other[:, out] *= 3
    before, after = (estimated(rows, key, counts, 12, 3) for rows in (query, other))
    torch.testing.assert_close(before, after)


def test_more_groups_and_a_wide_groups_tilt_come_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    query, key, counts = draw(4, 600), draw(4, 600), torch.ones(600)
    wanted = exact(query, key, counts)

    def error(groups: int) -> float:
        found = estimated(query, key, counts, 60, groups)
        return float(((found - wanted).abs() / wanted).mean())

    one, three, all_rows = error(1), error(3), error(60)
    assert one > three > all_rows
    monkeypatch.setattr(columns_grouped, "SECOND_ORDER", 0.0)
    assert error(3) > 1.3 * three
    assert error(60) == pytest.approx(all_rows, abs=1e-6)  # a group of one row is as it is


@pytest.mark.parametrize("start", [0, 30])
def test_the_flash_kernel_called_by_name_attends_as_sdpa_does(start: int) -> None:
    query, key, value = draw(4, 50)[None], draw(2, start + 50)[None], draw(2, start + 50)[None] * 2
    seen = torch.ones(50, start + 50, dtype=torch.bool).tril(start)
    mask = torch.zeros(50, start + 50).masked_fill_(~seen, float("-inf")) if start else None
    found, lse = attend_with_lse(query, key, value, mask, SCALING)
    wanted = scaled_dot_product_attention(
        query, key, value, attn_mask=seen if start else None, is_causal=not start,
        scale=SCALING, enable_gqa=True,
    )  # fmt: skip
    assert torch.equal(found, wanted)
    rows = torch.arange(start, start + 50)
    torch.testing.assert_close(lse, row_lse(query[0], key[0], rows, SCALING))


def test_the_engine_takes_the_log_sum_exp_from_its_attention(
    small_tiles_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long prompts, in pieces: nothing is computed twice, and the first token stays exact."""
    checkpoint = load(str(small_tiles_folder))
    ask = asking(
        "ask_long", *(picture(k) for k in range(4)), "where", tiles="base",
        sampling=Sampling(max_tokens=2, logprobs=1), reuse="none",
    )  # fmt: skip
    short = run(Engine(checkpoint, CONFIG), ask)["ask_long"]

    def never(*_: object) -> torch.Tensor:
        raise AssertionError("the log-sum-exp was at hand")

    calls = []
    sums = columns_grouped.grouped_sums

    def note(*given: torch.Tensor) -> torch.Tensor:
        calls.append(given[0].shape[1])
        return sums(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("myopia.sights.cumulative_rows", lambda it: cumulative_rows(it, 1))
    monkeypatch.setattr("myopia.observer.row_lse", never)
    monkeypatch.setattr("myopia.observer.grouped_sums", note)
    long = run(Engine(checkpoint, CONFIG), ask)["ask_long"]
    assert calls
    assert long[0][0] == short[0][0]
    assert long[1].logprobs[0].logprob == pytest.approx(short[1].logprobs[0].logprob, abs=1e-5)
