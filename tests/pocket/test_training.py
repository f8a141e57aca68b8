"""Training machinery: resumable clock and checkpoints, orthogonal updates, a step that learns."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pocket.exam import held_out
from pocket.model import build_model
from pocket.muon import orthogonal
from pocket.questions.asking import MAKERS, ask
from pocket.reading_stage import Plan, losses, sample_batch, train_reading
from pocket.runs import Clock, load_state, rate, save_state
from pocket.scaffold import Scaffold, Weights
from pocket.stories import compose


def test_orthogonal_updates_have_equal_strength() -> None:
    update = orthogonal(torch.randn(64, 96, generator=torch.Generator().manual_seed(0)))
    strengths = torch.linalg.svdvals(update)
    assert 0.5 < float(strengths.min()) <= float(strengths.max()) < 1.4


def test_rate_warms_up_and_decays() -> None:
    assert rate(0.0, 0, 1.0, 0.5) == pytest.approx(0.01)
    assert rate(0.3, 500, 1.0, 0.5) == 1.0
    assert rate(1.0, 500, 1.0, 0.5) == pytest.approx(0.02)


def test_clock_goes_on_where_it_was() -> None:
    assert Clock(10, 5).progress == pytest.approx(0.5, abs=0.01)


def test_checkpoints(tmp_path: Path) -> None:
    assert load_state(tmp_path / "none.pt") is None
    save_state(tmp_path / "a" / "x.pt", {"step": 3})
    assert load_state(tmp_path / "a" / "x.pt") == {"step": 3}


def test_reading_learns_and_resumes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model(0)
    pages = [held_out(model, 2, first=50)]
    train_reading(model, pages, tmp_path, Plan(minutes=0.02, seed=0, level=1))
    first = load_state(tmp_path / "reading.pt")
    assert first is not None
    assert first["step"] >= 1
    train_reading(model, pages, tmp_path, Plan(minutes=first["minutes"] + 0.02, seed=0, level=1))
    second = load_state(tmp_path / "reading.pt")
    assert second is not None
    assert second["step"] > first["step"]


def test_every_loss_has_a_gradient() -> None:
    torch.manual_seed(0)
    model = build_model(0)
    scaffold = Scaffold(128)
    batch = sample_batch([held_out(model, 4, first=60)], 2, np.random.default_rng(0))
    loss, numbers, right = losses(model, scaffold, batch, Weights())
    loss.backward()
    assert {"fetch", "known", "index_loss", "pointer2", "answer"} <= set(numbers)
    assert right.shape == batch.target.shape
    for layer in model.model.language_model.layers:
        for weight in layer.parameters():
            assert weight.grad is not None
            assert float(weight.grad.abs().sum()) > 0


def test_questions_are_true() -> None:
    """Every task can be asked, and the answers agree with the scenes they are about."""
    model = build_model(0)
    pages = held_out(model, 24, first=70)
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(80):
        story, _ = compose(pages.albums, int(rng.integers(2, 9)), rng)
        for task in MAKERS:
            question = ask(task, story, rng)
            if question is None:
                continue
            seen.add(question.task)
            if task == "find":
                places = story.having(question.kind, question.color)
                assert {story.number(p) for p, _ in places} == {question.answer}
            if task == "count":
                places = story.having(question.kind, question.color)
                assert len({p for p, _ in places}) == int(question.answer)
            if task == "exist":
                inside = [p for p, _ in story.having(question.kind, question.color)]
                assert (question.pictures[0] in inside) == (question.answer == "yes")
    assert seen == set(MAKERS)
