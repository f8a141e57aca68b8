"""Tokens are chosen as asked: greedily, by temperature, within the nucleus, by seed."""

import pytest
import torch

from myopia.params import Sampling
from myopia.sampling import Sampler, likeliest

LOGITS = torch.tensor([1.0, 3.0, 2.0, -1.0])


def test_greedy_takes_the_first_of_the_likeliest() -> None:
    assert Sampler(Sampling()).choose(LOGITS) == 1
    assert Sampler(Sampling()).choose(torch.tensor([0.0, 5.0, 5.0])) == 1


def test_allowed_tokens_only() -> None:
    assert Sampler(Sampling()).choose(LOGITS, [3, 0]) == 0
    sampler = Sampler(Sampling(temperature=2, seed=1))
    assert {sampler.choose(LOGITS, [3, 0]) for _ in range(50)} == {0, 3}


def test_a_seed_repeats_and_rows_do_not_share_it() -> None:
    def draws(seed: int) -> list[int]:
        sampler = Sampler(Sampling(temperature=1, seed=seed))
        return [sampler.choose(LOGITS) for _ in range(30)]

    assert draws(7) == draws(7) != draws(8)


def test_frequencies_follow_the_temperature() -> None:
    sampler = Sampler(Sampling(temperature=2, seed=0))
    drawn = torch.tensor([sampler.choose(LOGITS) for _ in range(4000)])
    shares = torch.bincount(drawn, minlength=4) / 4000
    assert torch.allclose(shares, torch.softmax(LOGITS / 2, -1), atol=0.03)


@pytest.mark.parametrize(("top_p", "within"), [(0.5, {1}), (0.8, {1, 2}), (0.95, {0, 1, 2})])
def test_nucleus(top_p: float, within: set[int]) -> None:
    # softmax of the logits: .087 .644 .237 .012 (renormalised), by hand
    sampler = Sampler(Sampling(temperature=1, top_p=top_p, seed=0))
    assert {sampler.choose(LOGITS) for _ in range(400)} == within


def test_log_probabilities() -> None:
    own, top = likeliest(LOGITS, 2, 2)
    logs = torch.log_softmax(LOGITS, -1).tolist()
    assert own == pytest.approx(logs[2])
    assert top == [(1, pytest.approx(logs[1])), (2, pytest.approx(logs[2]))]
    assert likeliest(LOGITS, 0, 0)[1] == []
