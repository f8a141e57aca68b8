"""Lets a run begin from exported weights: a checkout carries those, not a run's own checkpoints.

Knows which weights are eyes and which numbers a run counts on from; nothing of how it trains.
"""

import json
import re
from pathlib import Path
from typing import Any

import torch
from transformers import LlavaNextForConditionalGeneration

from pocket.model import Model
from pocket.runs import save_state
from pocket.stories import HIGHEST_NUMBER
from pocket.vision_stage import COLOR_WORDS, KIND_WORDS

EYES = ("model.vision_tower.", "model.multi_modal_projector.")


def spell(ranges: list[list[int]]) -> str:
    """Such as 0-1310, 1451-1870."""
    return ", ".join(f"{first}-{last}" for first, last in ranges)


def unspell(text: str) -> list[list[int]]:
    """The ranges that `spell` wrote."""
    return [[int(first), int(last)] for first, last in re.findall(r"(\d+)-(\d+)", text)]


def begin_from(run: Path, folder: Path) -> None:
    """Write a run's checkpoints from the weights in `folder`; optimizers start with no history."""
    weights, spent = _exported(folder)
    _save_eyes(run, weights, spent)
    state = {
        "model": weights,
        "kept": {name: w.clone() for name, w in weights.items() if not name.startswith(EYES)},
        "step": spent["reading_steps"],
        "minutes": spent["reading_minutes"],
        "level": HIGHEST_NUMBER,
        "right": {},
        "watched": unspell(spent["scaffolds"]),
    }
    save_state(run / "reading.pt", state)


def begin_with_eyes(model: Model, run: Path, folder: Path) -> None:
    """Write a run's vision checkpoint with the eyes in `folder`; all else is `model`'s, fresh.

    Of the word table it takes the words that the eyes were trained to say.
    """
    weights, spent = _exported(folder)
    fresh = model.state_dict()
    eyes = {name: weight for name, weight in weights.items() if name.startswith(EYES)}
    model.load_state_dict({**fresh, **eyes})
    said = torch.tensor(KIND_WORDS + COLOR_WORDS)
    table = "model.language_model.embed_tokens.weight"
    with torch.no_grad():
        model.get_input_embeddings().weight[said] = weights[table][said]
    _save_eyes(run, model.state_dict(), spent)


def _exported(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Weights, and what training.json counts."""
    model: Any = LlavaNextForConditionalGeneration.from_pretrained(folder, dtype=torch.float32)
    spent = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    return model.state_dict(), spent


def _save_eyes(run: Path, weights: dict[str, Any], spent: dict[str, Any]) -> None:
    state = {"model": weights, "step": spent["vision_steps"], "minutes": spent["vision_minutes"]}
    save_state(run / "vision.pt", state)
