"""Evidence equals what an eager attention matrix says, over chunks, prefixes and precisions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from myopia.columns import attend_and_sum
from myopia.layout import Layout, Span
from myopia.observer import Observer, can_resume
from myopia.params import Pruning
from myopia.sampling_plan import asking_rows, cumulative_rows
from tests.myopia.rows import SCALING, eager, make_layout, make_row

LAYOUT = make_layout()
ROW = make_row(LAYOUT)
IMAGES = torch.tensor(LAYOUT.image_positions())


@pytest.mark.parametrize("chunk", [None, 1, 6, 17])
def test_column_and_text_sums_are_the_eager_matrix_summed(chunk: int | None) -> None:
    observer = ROW.observed(Pruning(), chunk=chunk)
    for layer in range(2):
        matrix = eager(ROW, layer).mean(1)
        evidence = observer.evidence(layer)
        assert evidence.columns is not None
        assert evidence.text is not None
        torch.testing.assert_close(evidence.columns, matrix.sum(1)[:, IMAGES], atol=1e-5, rtol=1e-5)
        asked = matrix[:, list(LAYOUT.text_rows)].sum(1)[:, IMAGES]
        torch.testing.assert_close(evidence.text, asked, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunk", [None, 5])
def test_window_elite_and_sparsity_are_the_eager_matrix_read(chunk: int | None) -> None:
    matrix = eager(ROW, 0)
    window = ROW.observed(Pruning(policy="snapkv"), chunk=chunk).evidence(0).window
    torch.testing.assert_close(
        window, matrix.mean(1)[:, -32:].sum(1)[:, IMAGES], atol=1e-5, rtol=1e-5
    )
    last = ROW.observed(Pruning(policy="fastv"), chunk=chunk).evidence(0).window
    torch.testing.assert_close(last, matrix.mean(1)[:, -1][:, IMAGES], atol=1e-6, rtol=1e-5)
    elite = ROW.observed(Pruning(policy="airv"), chunk=chunk).evidence(0).elite
    rows = torch.tensor(LAYOUT.text_rows)
    guide = matrix.mean((0, 1))[-1, rows]
    picked = rows[guide >= 0.9 * guide.max()]
    shares = matrix[:, :, picked][..., IMAGES]
    wanted = (shares / shares.sum(-1, keepdim=True)).mean((0, 1)).mean(0, keepdim=True)
    torch.testing.assert_close(elite, wanted, atol=1e-5, rtol=1e-5)
    few, seen = 0, 0
    for row in LAYOUT.text_rows:
        visible = matrix[:, :, row, : row + 1]
        few += int((visible < 0.01 * visible.amax(-1, keepdim=True)).sum())
        seen += visible.numel()
    found = ROW.observed(Pruning(policy="vl-cache"), chunk=chunk).evidence(0).sparsity
    assert found == pytest.approx(few / seen)


@settings(max_examples=25, deadline=None)
@given(cut=st.integers(1, make_layout().length - 1), alpha=st.sampled_from([0.0, 0.5, 1.0]))
def test_any_cut_of_the_prompt_gives_the_same_evidence(cut: int, alpha: float) -> None:
    pruning = Pruning(alpha=alpha)
    whole, parts = ROW.observed(pruning), Observer(LAYOUT, pruning, layers=1)
    parts.see(0, ROW.queries[0][:, :cut], ROW.keys[0][:, :cut], 0, SCALING)
    parts.see(0, ROW.queries[0][:, cut:], ROW.keys[0], cut, SCALING)
    for name in ("columns", "text"):
        left, right = getattr(whole.evidence(0), name), getattr(parts.evidence(0), name)
        if left is None:
            assert right is None
        else:
            torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


def test_a_prefix_can_be_kept_and_continued_with_another_question() -> None:
    stop = LAYOUT.spans[-1].stop
    prefix = Observer(Layout(stop, LAYOUT.spans, ()), Pruning(), layers=2)
    for layer in range(2):
        prefix.see(layer, ROW.queries[layer][:, :stop], ROW.keys[layer][:, :stop], 0, SCALING)
    kept = prefix.snapshot(stop)
    for pruning in (Pruning(), Pruning(policy="h2o"), Pruning(policy="vl-cache")):
        resumed = Observer.resumed(kept, LAYOUT, pruning, layers=2)
        for layer in range(2):
            resumed.see(layer, ROW.queries[layer][:, stop:], ROW.keys[layer], stop, SCALING)
        direct = ROW.observed(pruning)
        for name in ("columns", "text"):
            left, right = (getattr(o.evidence(1), name) for o in (resumed, direct))
            assert (left is None) == (right is None)
            if left is not None:
                torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)
    # The snapshot is a copy: going on did not change it.
    again = Observer.resumed(kept, LAYOUT, Pruning(), layers=2)
    for layer in range(2):
        again.see(layer, ROW.queries[layer][:, stop:], ROW.keys[layer], stop, SCALING)
    torch.testing.assert_close(
        again.evidence(0).columns, ROW.observed(Pruning()).evidence(0).columns
    )


def test_a_prefix_is_refused_where_rows_are_missing() -> None:
    stop = LAYOUT.spans[-1].stop
    text_only = Observer(Layout(stop, LAYOUT.spans, ()), Pruning(alpha=1.0), layers=2)
    assert not can_resume(text_only.snapshot(stop), LAYOUT, Pruning())
    assert can_resume(text_only.snapshot(stop), LAYOUT, Pruning(alpha=1.0))
    # The tail has 5 rows, SnapKV's window 32: it begins inside the images.
    assert not can_resume(text_only.snapshot(stop), LAYOUT, Pruning(policy="snapkv"))
    with pytest.raises(ValueError, match="lacks rows"):
        Observer.resumed(text_only.snapshot(stop), LAYOUT, Pruning(), layers=2)


def test_keys_that_do_not_end_with_the_rows_are_refused() -> None:
    observer = Observer(LAYOUT, Pruning(), layers=2)
    with pytest.raises(ValueError, match="rows end at"):
        observer.see(0, ROW.queries[0][:, :4], ROW.keys[0][:, :9], 0, SCALING)


def test_half_precision_rows_are_summed_in_float32() -> None:
    observer = Observer(LAYOUT, Pruning(), layers=1)
    observer.see(0, ROW.queries[0].bfloat16(), ROW.keys[0].bfloat16(), 0, SCALING)
    columns = observer.evidence(0).columns
    assert columns is not None
    assert columns.dtype == torch.float32
    torch.testing.assert_close(
        columns, eager(ROW, 0).mean(1).sum(1)[:, IMAGES], atol=0.05, rtol=0.05
    )


def test_short_prompts_are_summed_row_by_row_and_long_ones_images_in_groups() -> None:
    first = LAYOUT.spans[0].start
    rows, grouped = cumulative_rows(LAYOUT, exact_until=LAYOUT.spans[-1].stop)
    assert rows.tolist() == list(range(first, LAYOUT.length))
    assert len(grouped) == 0
    rows, grouped = cumulative_rows(LAYOUT, exact_until=LAYOUT.spans[-1].stop - 1)
    assert grouped.tolist() == LAYOUT.image_positions()
    assert sorted([*rows.tolist(), *grouped.tolist()]) == list(range(first, LAYOUT.length))
    nothing = cumulative_rows(Layout(9, (), ()))
    assert [len(part) for part in nothing] == [0, 0]


def test_a_prefix_and_its_continuation_plan_the_same_rows() -> None:
    spans = tuple(Span(1 + 3000 * i, (50, 59), (0, 0)) for i in range(3))
    prefix = cumulative_rows(Layout(spans[-1].stop, spans, ()))
    whole = cumulative_rows(Layout(spans[-1].stop + 30, spans, (9005,)))
    assert torch.equal(whole[0][: len(prefix[0])], prefix[0])
    assert torch.equal(whole[1], prefix[1])
    assert len(prefix[1]) == 3 * 2950


@pytest.fixture
def long_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts of any length are taken for long ones."""
    monkeypatch.setattr("myopia.sights.cumulative_rows", lambda it: cumulative_rows(it, 1))


LONG = make_layout(images=6, base=8, grid=(8, 8), tail=12)
LONG_ROW = make_row(LONG, layers=1)


@pytest.mark.parametrize("chunk", [None, 100, 333])
@pytest.mark.usefixtures("long_prompts")
def test_grouped_rows_agree_with_exact_ones_where_it_matters(chunk: int | None) -> None:
    exact = eager(LONG_ROW, 0).mean(1).sum(1)[:, torch.tensor(LONG.image_positions())]
    found = LONG_ROW.observed(Pruning(), chunk=chunk).evidence(0).columns
    assert found is not None
    torch.testing.assert_close(found.sum(), exact.sum(), rtol=2e-3, atol=0)
    parts = [torch.split(sums, LONG.spans[-1].length, dim=-1) for sums in (found, exact)]
    for left, right in zip(*parts, strict=True):
        torch.testing.assert_close(left.mean(-1), right.mean(-1), atol=0, rtol=0.08)


@pytest.mark.usefixtures("long_prompts")
def test_text_and_last_rows_are_exact_beside_grouped_ones() -> None:
    evidence = LONG_ROW.observed(Pruning(), chunk=90).evidence(0)
    images = torch.tensor(LONG.image_positions())
    matrix = eager(LONG_ROW, 0).mean(1)
    asked = matrix[:, list(LONG.text_rows)].sum(1)[:, images]
    torch.testing.assert_close(evidence.text, asked, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(evidence.window, matrix[:, -1][:, images], atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("long_prompts")
def test_a_log_sum_exp_that_is_handed_over_is_the_one_that_would_be_computed() -> None:
    first = LONG.spans[0].start
    keys = LONG_ROW.keys[0].repeat_interleave(2, 0)
    logits = torch.einsum("hid,hjd->hij", LONG_ROW.queries[0], keys) * SCALING
    hidden = torch.ones(LONG.length, LONG.length, dtype=torch.bool).triu(1)
    lse = logits.masked_fill(hidden, -torch.inf).logsumexp(-1)
    told, wrong = (Observer(LONG, Pruning(), layers=1) for _ in range(2))
    assert told.wants_lse(0, LONG.length)
    assert not told.wants_lse(0, first)
    told.see(0, LONG_ROW.queries[0], LONG_ROW.keys[0], 0, SCALING, lse)
    wrong.see(0, LONG_ROW.queries[0], LONG_ROW.keys[0], 0, SCALING, lse + 1)
    computed = LONG_ROW.observed(Pruning()).evidence(0).columns
    torch.testing.assert_close(told.evidence(0).columns, computed, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(wrong.evidence(0).columns, computed, atol=1e-2)


@pytest.mark.usefixtures("long_prompts")
def test_a_chunk_with_grouped_rows_is_not_taken_for_one_of_single_rows() -> None:
    """Mostly text, and the end of an image: whole sums would leave the image's rows out."""
    layout = Layout(100, (Span(1, (3, 3), (0, 0)),), tuple(range(10, 99)))
    observer = Observer(layout, Pruning(), layers=1)
    assert observer.whole(5, 100) is None
    assert observer.whole(10, 100) is not None


def test_long_questions_are_thinned_evenly_and_weighed() -> None:
    layout = Layout(1300, (Span(0, (2, 2), (0, 0)),), tuple(range(4, 1300)))
    rows, weight = asking_rows(layout)
    assert len(rows) == 256
    assert weight == pytest.approx(1296 / 256)
    assert set(rows.diff().tolist()) <= {5, 6}


@pytest.mark.parametrize(("groups", "start"), [(1, 0), (2, 0), (2, 17)])
def test_attention_with_its_sums_is_attention_and_its_sums(groups: int, start: int) -> None:
    row = make_row(make_layout(images=5, base=6), layers=1, groups=groups)
    query, key, value = row.queries[0][:, start:], row.keys[0], row.values[0]
    weights = torch.rand(2, query.shape[1])
    matrix = eager(row, 0)[:, :, start:]
    wanted = torch.einsum("hgts,hsd->hgtd", matrix, value).flatten(0, 1)
    for heavy in (weights, None):
        attended, sums = attend_and_sum(query, key, value, heavy, SCALING)
        torch.testing.assert_close(attended, wanted, atol=1e-5, rtol=1e-5)
        by_row = matrix.mean(1)  # (H, T, S)
        each = torch.ones(1, query.shape[1]) if heavy is None else heavy
        torch.testing.assert_close(sums, torch.einsum("wt,hts->whs", each, by_row))


@pytest.mark.parametrize("cut", [1, 30, LAYOUT.length - 3])
def test_sums_that_are_handed_over_are_those_that_are_seen(cut: int) -> None:
    for pruning in (Pruning(), Pruning(alpha=0), Pruning(policy="h2o")):
        seen, told = ROW.observed(pruning, chunk=cut), Observer(LAYOUT, pruning, layers=2)
        handed = 0
        for start in range(0, LAYOUT.length, cut):
            stop = min(LAYOUT.length, start + cut)
            for layer in range(2):
                query, key = ROW.queries[layer][:, start:stop], ROW.keys[layer][:, :stop]
                sight = told.whole(start, stop)
                if sight is None:
                    told.see(layer, query, key, start, SCALING)
                    continue
                handed += 1
                value = ROW.values[layer][:, :stop]
                told.take(
                    layer, sight, attend_and_sum(query, key, value, sight.weights, SCALING)[1]
                )
        assert handed
        for name in ("columns", "text", "window"):
            mine, wanted = (getattr(one.evidence(1), name) for one in (told, seen))
            assert (mine is None) == (wanted is None)
            if mine is not None:
                torch.testing.assert_close(mine, wanted, atol=1e-5, rtol=1e-5)


def test_few_rows_and_more_than_sums_are_seen() -> None:
    for pruning in (Pruning(alpha=1), Pruning(policy="vl-cache"), Pruning(policy="airv")):
        observer = Observer(LAYOUT, pruning, layers=1)
        assert observer.whole(0, LAYOUT.spans[-1].stop) is None
