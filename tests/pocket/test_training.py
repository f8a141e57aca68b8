"""Training machinery: resumable clock and checkpoints, orthogonal updates, a step that learns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pocket.exam import held_out
from pocket.model import build_model
from pocket.muon import Pair, orthogonal
from pocket.questions.asking import MAKERS, ask
from pocket.questions.story import Story
from pocket.reading_stage import Plan, extend, load_language, losses, sample_batch, train_reading
from pocket.runs import Clock, load_state, rate, save_state
from pocket.scaffold import SUMMARY, Scaffold, Weights, summary
from pocket.scene import at, sample_scene
from pocket.sheets import EACH, FINE_FIRST, FINE_SECOND, FIRST, SECOND, build_prefix, looks
from pocket.stories import Sheet, compose
from pocket.words import COLORS


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


def test_eyes_trained_further_stay(tmp_path: Path) -> None:
    """A resumed reading stage takes its language layers from the checkpoint, not its old eyes."""
    torch.manual_seed(0)
    old, new = build_model(0), build_model(1)
    eyes = {k: v.clone() for k, v in new.state_dict().items() if "vision" in k or "projector" in k}
    load_language(new, old.state_dict())
    for name, weight in new.state_dict().items():
        wanted = eyes[name] if name in eyes else old.state_dict()[name]
        assert torch.equal(weight, wanted), name
    with pytest.raises(ValueError, match="language_model"):
        load_language(new, {k: v for k, v in old.state_dict().items() if "layers.3" not in k})


def test_supervised_steps_are_recorded() -> None:
    ranges: list[list[int]] = []
    for step in (0, 1, 2, 7, 8):
        extend(ranges, step)
    assert ranges == [[0, 2], [7, 8]]


def test_counting_looks_at_every_picture_and_the_start() -> None:
    """k pictures and the start share the attention, so that 1/(k + 1) is left on the start."""
    model = build_model(0)
    pages = held_out(model, 6, first=90)
    rng = np.random.default_rng(2)
    counted = 0
    while counted < 12:
        story, chosen = compose(pages.albums, 5, rng)
        question = ask("count", story, rng)
        if question is None:
            continue
        counted += 1
        prefix = build_prefix(Sheet(story, chosen, (question,)), pages)
        found = looks(question, story, prefix, 4)
        assert {(row, mode) for row, mode, _ in found} == {(4, EACH)}
        assert found[-1][2] == [0]
        shown = {prefix.picture[at[0]] for _, _, at in found[:-1]}
        assert str(len(shown)) == question.answer
        centers = [i for _, _, at in found[:-1] for i in at]
        things = [x for _, groups in question.pointers for group in groups for x in group]
        hit = [
            (prefix.picture[i], prefix.thing[i]) == x for i, x in zip(centers, things, strict=True)
        ]
        assert sum(hit) >= 0.8 * len(hit)  # the rest lie under another thing, or are tiny


def test_comparing_looks_at_every_thing_of_both_pictures() -> None:
    """A change shows only against all that stayed, "nothing" too; a movement shows in one thing."""
    model = build_model(0)
    pages = held_out(model, 24, first=300)
    rng = np.random.default_rng(3)
    answers = set()
    for _ in range(400):
        story, chosen = compose(pages.albums, 4, rng)
        for task in ("change", "move"):
            question = ask(task, story, rng) if story.links else None
            if question is None:
                continue
            answers.add(question.answer)
            low, high = sorted(question.pictures)
            prefix = build_prefix(Sheet(story, chosen, (question,)), pages)
            found = looks(question, story, prefix, 4)
            fine = {FINE_FIRST: low, FINE_SECOND: high}
            sides = {FIRST: low, SECOND: high} | (fine if task == "change" else {})
            for _, mode, tokens in found:
                assert {prefix.picture[i] for i in tokens} == {sides[mode]}
                assert mode not in fine or not any(prefix.base[i] for i in tokens)
            wanted = [len(story.scenes[p].things) if task == "change" else 1 for p in (low, high)]
            modes = [mode for _, mode, _ in found]
            for mode, most in zip((FIRST, SECOND), wanted, strict=True):
                assert 1 <= modes.count(mode) <= most  # a tiny thing may have no token of its own
    assert {"nothing", "color", "shape", "position", "left", "up"} <= answers


def test_a_summary_is_what_a_picture_shows() -> None:
    """By hand: a red circle on the left and a blue 7 on the right."""
    rng = np.random.default_rng(0)
    scene = sample_scene([("circle", "red"), ("7", "blue")], rng)
    left, right = scene.things
    things = (at(left, 0.2, 0.5), at(right, 0.8, 0.7))
    story = Story((replace(scene, things=things),))
    said = summary(story, [(0, 0), (0, 1)])
    assert len(said) == SUMMARY
    kinds, colors, place = said[:18], said[18:26], said[26:]
    assert [i for i, share in enumerate(kinds) if share == 0.5] == [0, 8 + 7]
    assert [COLORS[i] for i, share in enumerate(colors) if share == 0.5] == ["red", "blue"]
    assert place == pytest.approx([0.5, 0.6])
    assert summary(story, [(0, 1)])[26:] == pytest.approx([0.8, 0.7])


def test_new_scaffolds_join_a_resumed_run() -> None:
    """Weights appended to the optimizer since the checkpoint start without a history."""
    matrix, old, new = (torch.ones(n, requires_grad=True) for n in ((2, 2), 3, 4))
    before = Pair([matrix], [old], 0.1)
    for weight in (matrix, old):
        weight.sum().backward()
    before.step(0.1)
    kept = before.state_dict()
    after = Pair([matrix], [old, new], 0.1)
    after.load_state_dict(kept)
    for weight in (matrix, old, new):
        weight.sum().backward()
    was = new.detach().clone()
    after.step(0.1)
    assert not torch.equal(new, was)
    assert int(after.adam.state[old]["step"]) == 2
    assert int(after.adam.state[new]["step"]) == 1


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


def test_the_sister_is_not_told_where_to_look() -> None:
    """No loss on attention, none on what a look must have brought; queries learn from answers."""
    torch.manual_seed(0)
    model = build_model(0)
    scaffold = Scaffold(128)
    batch = sample_batch([held_out(model, 4, first=60)], 2, np.random.default_rng(0))
    assert len(batch.fetch)
    assert len(batch.pointer)
    loss, numbers, _ = losses(model, scaffold, batch, Weights.without_pointers())
    loss.backward()
    assert set(numbers) == {"known", "index", "index_loss", "answer"}
    for head in (scaffold.bound, scaffold.shown, scaffold.compared):
        assert head.weight.grad is None
    assert scaffold.index.weight.grad is not None


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
                found = story.having(question.kind, question.color)
                if question.kind is None and question.color is None:  # any digit
                    found = [x for x in found if story.thing(x).is_digit]
                inside = [p for p, _ in found]
                assert (question.pictures[0] in inside) == (question.answer == "yes")
    assert seen == set(MAKERS)
