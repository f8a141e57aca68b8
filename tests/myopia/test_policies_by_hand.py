"""One test with numbers done by hand for each policy.

Two images of three tokens (positions 1-3 and 5-7), a question at 8-9, ten tokens in all.
"""

import math
from functools import partial

import pytest
import torch

from myopia.evidence import Evidence, Needs
from myopia.layout import Layout, Span
from myopia.observer import Observer
from myopia.params import Pruning
from myopia.policies import POLICIES, needs_of

SPANS = (Span(1, (1, 3), (0, 0)), Span(5, (1, 3), (0, 0)))
LAYOUT = Layout(10, SPANS, (8, 9))


def score(name: str, evidence: Evidence, **knobs: object) -> list[list[float]]:
    pruning = Pruning(policy=name, **knobs)  # type: ignore[arg-type]
    return POLICIES[name].score(evidence, LAYOUT, pruning).tolist()


def order(name: str, evidence: Evidence, **knobs: object) -> list[int]:
    row = score(name, evidence, **knobs)[0]
    return sorted(range(len(row)), key=lambda i: -row[i])


def two_heads(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32)


def test_full_tells_no_token_from_another() -> None:
    assert score("full", Evidence(0, 1)) == [[0.0] * 6]


def test_myopia_scales_both_parts_to_one_before_it_mixes_them() -> None:
    # Head means: columns 4, 2, 2, 1, 1, 0 (sum 10); text 0, 0, 1, 0, 0, 3 (sum 4).
    evidence = Evidence(
        0,
        1,
        columns=two_heads([6, 2, 2, 1, 1, 0], [2, 2, 2, 1, 1, 0]),
        text=two_heads([0, 0, 0, 0, 0, 4], [0, 0, 2, 0, 0, 2]),
    )
    # .75 of the columns' tenths and .25 of the text's quarters.
    wanted = [0.3, 0.15, 0.15 + 0.0625, 0.075, 0.075, 0.1875]
    asking = partial(score, "myopia", evidence, guide="question")
    assert asking(alpha=0.25)[0] == pytest.approx(wanted)
    assert asking(alpha=0.0)[0] == pytest.approx([0.4, 0.2, 0.2, 0.1, 0.1, 0])
    assert asking(alpha=1.0)[0] == pytest.approx([0, 0, 0.25, 0, 0, 0.75])


def test_myopia_is_guided_by_question_reply_or_half_of_each() -> None:
    # Head means: question 0, 0, 1, 0, 0, 3 (sum 4); last row .3, 0, 0, .1, 0, .1 (sum .5).
    evidence = Evidence(
        0,
        1,
        text=two_heads([0, 0, 0, 0, 0, 4], [0, 0, 2, 0, 0, 2]),
        window=two_heads([0.2, 0, 0, 0.2, 0, 0], [0.4, 0, 0, 0, 0, 0.2]),
    )
    found = {
        guide: score("myopia", evidence, alpha=1.0, guide=guide)[0]
        for guide in ("question", "reply", "both")
    }
    assert found["question"] == pytest.approx([0, 0, 0.25, 0, 0, 0.75])
    assert found["reply"] == pytest.approx([0.6, 0, 0, 0.2, 0, 0.2])
    assert found["both"] == pytest.approx([0.3, 0, 0.125, 0.1, 0, 0.475])
    assert found["both"] == score("myopia", evidence, alpha=1.0)[0]


@pytest.mark.parametrize(
    ("guide", "text", "window"), [("question", True, 0), ("reply", False, 1), ("both", True, 1)]
)
def test_myopia_sees_no_rows_that_do_not_guide(guide: str, text: bool, window: int) -> None:
    def needs(alpha: float) -> Needs:
        return needs_of(Pruning(alpha=alpha, guide=guide))  # type: ignore[arg-type]

    assert needs(0.5) == Needs(columns=True, text=text, window=window)
    assert needs(1.0) == Needs(text=text, window=window)
    assert needs(0.0) == Needs(columns=True)


def test_myopia_head_wise_scales_every_head_by_itself() -> None:
    evidence = Evidence(0, 1, text=two_heads([0, 0, 0, 0, 0, 4], [0, 0, 6, 0, 0, 2]))
    found = score("myopia", evidence, alpha=1.0, head_mode="wise", guide="question")
    assert found == [[0, 0, 0, 0, 0, 1], [0, 0, 0.75, 0, 0, 0.25]]


def test_fastv_is_the_mean_of_heads_over_the_last_row() -> None:
    evidence = Evidence(0, 1, window=two_heads([0.2, 0, 0, 0.4, 0, 0], [0.4, 0, 0, 0, 0, 0.2]))
    assert score("fastv", evidence)[0] == pytest.approx([0.3, 0, 0, 0.2, 0, 0.1])


def test_h2o_takes_the_heavy_and_the_recent_in_turns() -> None:
    # Heavy order 0 1 2 3 4 5, recent order 5 4 3 2 1 0; of a tie the earlier token is taken.
    evidence = Evidence(0, 1, columns=two_heads([9, 8, 7, 3, 2, 1]))
    assert order("h2o", evidence) == [0, 5, 1, 4, 2, 3]
    # Places of one list count double: half the budget each. 1st, 2nd, 3rd of either: -2, -4, -6.
    assert score("h2o", evidence)[0] == [-2, -4, -6, -6, -4, -2]


def test_snapkv_averages_votes_over_neighbours_of_the_same_image() -> None:
    long = Layout(60, SPANS, (8, 9))
    votes = torch.tensor([[3.0, 0, 0, 0, 6, 0]])
    evidence = Evidence(0, 1, window=votes)
    found = POLICIES["snapkv"].score(evidence, long, Pruning(policy="snapkv"))
    # A pool of five covers all three tokens of an image: 3 / 3 and 6 / 3; nothing leaks between.
    assert found.tolist() == [[1, 1, 1, 2, 2, 2]]


def test_snapkv_puts_the_windows_own_tokens_first() -> None:
    short = Layout(38, SPANS, (8, 9))  # the window begins at position 6
    votes = torch.tensor([[3.0, 0, 0, 0, 6, 0]])
    found = POLICIES["snapkv"].score(Evidence(0, 1, window=votes), short, Pruning(policy="snapkv"))
    assert found.tolist() == [[1, 1, 1, 2, 35, 35]]


def test_pyramidkv_gives_the_first_layer_most() -> None:
    # 5 layers, mean 20: last 20/20 = 1, first 2*20 - 1 = 39, a step of 9.5.
    seen = [(Evidence(i, 5), torch.zeros(1, 6)) for i in range(5)]
    assert POLICIES["pyramidkv"].layer_sizes(seen, 100) == [39, 29.5, 20, 10.5, 1]


def test_look_m_takes_important_and_recent_alike() -> None:
    evidence = Evidence(0, 1, columns=two_heads([1, 2, 9, 8, 3, 1], [1, 2, 9, 8, 3, 1]))
    assert order("look-m", evidence) == [2, 5, 3, 4, 1, 0]


def test_prefixkv_gives_every_layer_the_same_share_of_its_mass() -> None:
    evidence = Evidence(0, 2, columns=two_heads([5, 3, 1, 1, 0, 0], [5, 3, 1, 1, 0, 0]))
    assert score("prefixkv", evidence)[0] == pytest.approx([0.5, 0.3, 0.1, 0.1, 0, 0])
    steep, flat = torch.tensor([[0.8, 0.1, 0.05, 0.05, 0, 0]]), torch.full((1, 6), 1 / 6)
    seen = [(Evidence(0, 2), steep), (Evidence(1, 2), flat)]
    # 70 % of the mass is one token of the steep layer and five of the flat one (4/6 < .7 <= 5/6).
    assert POLICIES["prefixkv"].layer_sizes(seen, 6) == [1, 5]


def test_vl_cache_shares_by_density_and_keeps_a_tenth_recent() -> None:
    evidence = Evidence(0, 2, text=two_heads([5, 4, 3, 2, 1, 0]))
    # Heavy places / .9: 1.11 2.22 3.33 4.44 5.56 6.67; recency / .1: 10 for the last token.
    wanted = [-1 / 0.9, -2 / 0.9, -3 / 0.9, -4 / 0.9, -5 / 0.9, -6 / 0.9]
    assert score("vl-cache", evidence)[0] == pytest.approx(wanted)
    seen = [(Evidence(i, 2, sparsity=s), torch.zeros(1, 6)) for i, s in enumerate((0.9, 0.7))]
    assert POLICIES["vl-cache"].layer_sizes(seen, 8) == pytest.approx([2, 6])


def test_airv_hears_elite_rows_alone_and_looks_at_images_alone() -> None:
    layout = Layout(5, (Span(0, (1, 2), (0, 0)),), (2, 3, 4))
    # One head, scaling 1: a key is one number per column of the query's one-hot choice.
    key = torch.tensor([[[0.0], [1.0], [2.0], [0.0], [2.0]]])
    query = torch.tensor([[[0.0], [0.0], [math.log(3)], [7.0], [1.0]]])
    observer = Observer(layout, Pruning(policy="airv"), layers=1)
    observer.see(0, query, key, 0, 1.0)
    # The last row (query 1) gives rows 2, 3, 4 e^2, e^0, e^2: elite are 2 and 4.
    # Over the image keys 0 and 1: row 2 gives 1/4, 3/4; row 4 gives 1/(1+e), e/(1+e).
    e = math.e
    wanted = [(0.25 + 1 / (1 + e)) / 2, (0.75 + e / (1 + e)) / 2]
    assert POLICIES["airv"].score(observer.evidence(0), layout, Pruning(policy="airv"))[
        0
    ].tolist() == pytest.approx(wanted)


def test_airv_wishes_more_where_attention_is_strong_and_skewed() -> None:
    flat, peaked = torch.full((1, 4), 0.25), torch.tensor([[0.7, 0.1, 0.1, 0.1]])
    mild = torch.tensor([[0.4, 0.2, 0.2, 0.2]])
    wish = POLICIES["airv"].layer_sizes(
        [(Evidence(0, 3), flat), (Evidence(1, 3), peaked), (Evidence(2, 3), mild)], 60
    )
    # Strength 0, .45, .15; skewness of one-of-four is the same 1.1547 for both, 0 for the flat.
    assert wish == pytest.approx([0, 60 * (0.75 + 0.5) / 2, 60 * (0.25 + 0.5) / 2])


def test_random_is_the_same_draw_for_the_same_prompt_and_another_per_layer() -> None:
    chance = torch.Generator().manual_seed(10 * 1009 + 2)
    wanted = torch.rand(1, 6, generator=chance).tolist()
    assert score("random", Evidence(2, 4)) == wanted
    assert score("random", Evidence(3, 4)) != wanted


def test_uniform_takes_turns_between_images_and_spreads_inside() -> None:
    layout = Layout(16, (Span(0, (1, 8), (0, 0)), Span(8, (1, 8), (0, 0))), (15,))
    found = POLICIES["uniform"].score(Evidence(0, 1), layout, Pruning(policy="uniform"))
    # Bits of 0..7 reversed: 0 4 2 6 1 5 3 7 are the turns.
    assert found.tolist() == [[0, -4, -2, -6, -1, -5, -3, -7] * 2]


def test_streaming_keeps_sinks_and_the_latest() -> None:
    # Positions 1, 2, 3 are among the first four of the prompt, then the latest ones win.
    assert score("streaming", Evidence(0, 1)) == [[11, 12, 13, 5, 6, 7]]
