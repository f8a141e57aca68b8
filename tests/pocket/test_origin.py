"""A run that begins from exported weights: goes on with all of them, or takes their eyes alone."""

from pathlib import Path

import pytest
import torch

from pocket import weights_folder
from pocket.exam import held_out
from pocket.model import build_model
from pocket.origin import EYES, begin_from, begin_with_eyes, spell, unspell
from pocket.reading_stage import Plan, train_reading
from pocket.runs import load_state
from pocket.train import export_run
from pocket.vision_stage import COLOR_WORDS, KIND_WORDS, VisionPlan, train_vision


def test_ranges_are_read_as_they_are_written() -> None:
    ranges = [[0, 1309], [1450, 1869]]
    assert unspell("on in reading steps " + spell(ranges)) == ranges
    assert unspell("none") == []


def test_a_run_goes_on_from_exported_weights(tmp_path: Path) -> None:
    """Nothing is lost or counted anew: steps, minutes, scaffolded steps, each weight."""
    run = tmp_path / "run"
    begin_from(run, weights_folder())
    begun = load_state(run / "reading.pt")
    assert begun is not None
    assert begun["step"] > 10_000
    export_run(build_model(3), run, tmp_path / "again", pointers=True)
    again = (tmp_path / "again" / "model.safetensors").read_bytes()
    shipped = weights_folder() / "model.safetensors"
    assert again == shipped.read_bytes()
    export_run(build_model(3), run, tmp_path / "half", pointers=True, half=True)
    half = (tmp_path / "half" / "model.safetensors").stat().st_size
    assert half == pytest.approx(shipped.stat().st_size / 2, rel=0.01)

    model = build_model(3)
    spent = begun["minutes"]
    train_vision(model, tmp_path, run, VisionPlan(minutes=1))  # spent long ago: only loads
    plan = Plan(minutes=spent + 0.05, seed=0, scaffold_until=0)
    train_reading(model, [held_out(model, 2, first=50)], run, plan)
    after = load_state(run / "reading.pt")
    assert after is not None
    assert after["step"] > begun["step"]
    assert after["watched"] == begun["watched"]
    assert after["minutes"] == pytest.approx(spent + 0.05, abs=0.2)
    moved = [n for n, w in begun["kept"].items() if not torch.equal(w, after["kept"][n])]
    assert "model.language_model.layers.0.self_attn.q_proj.weight" in moved


def test_a_run_takes_the_eyes_alone(tmp_path: Path) -> None:
    fresh = build_model(4).state_dict()
    model = build_model(4)
    begin_with_eyes(model, tmp_path, weights_folder())
    assert load_state(tmp_path / "reading.pt") is None
    state = load_state(tmp_path / "vision.pt")
    assert state is not None
    begin_from(tmp_path / "shipped", weights_folder())
    shipped = load_state(tmp_path / "shipped" / "vision.pt")
    assert shipped is not None
    said = torch.tensor(KIND_WORDS + COLOR_WORDS)
    for name, weight in state["model"].items():
        if name.startswith(EYES):
            assert torch.equal(weight, shipped["model"][name]), name
        elif "embed_tokens" in name or name == "lm_head.weight":
            assert torch.equal(weight[said], shipped["model"][name][said])
            others = torch.ones(len(weight), dtype=torch.bool)
            others[said] = False
            assert torch.equal(weight[others], fresh[name][others])
        else:
            assert torch.equal(weight, fresh[name]), name
