"""The shipped weights: stock class, stock processor, small, offline, and as good as their card."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlavaNextForConditionalGeneration, LlavaNextProcessor

from pocket import weights_folder
from pocket.card import load, short_disagreements
from pocket.controls import controls
from pocket.draw import draw
from pocket.exam import held_out, mark
from pocket.hall import alone
from pocket.model import export
from pocket.sheets import collate
from pocket.stories import Sheet, compose, sample_questions

FOLDER = weights_folder()


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return load(FOLDER)


def test_importing_the_package_is_cheap() -> None:
    probe = "import sys, pocket; print(pocket.weights_folder()); assert 'torch' not in sys.modules"
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == FOLDER


def test_sizes(model: Any) -> None:
    assert type(model) is LlavaNextForConditionalGeneration
    assert 1e6 <= sum(p.numel() for p in model.parameters()) <= 4e6
    assert (FOLDER / "model.safetensors").stat().st_size <= 16 * 2**20


def test_round_trip(model: Any, tmp_path: Path) -> None:
    export(model, tmp_path)
    again = load(tmp_path)
    for (name, one), other in zip(
        model.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other), name


def test_loads_and_answers_without_a_network(tmp_path: Path) -> None:
    script = (
        "import socket\n"
        "def refuse(*a, **k): raise RuntimeError('network')\n"
        "socket.socket.connect = refuse; socket.create_connection = refuse\n"
        "from PIL import Image\n"
        "from transformers import LlavaNextForConditionalGeneration, LlavaNextProcessor\n"
        "from pocket import weights_folder\n"
        "f = weights_folder()\n"
        "m = LlavaNextForConditionalGeneration.from_pretrained(f)\n"
        "p = LlavaNextProcessor.from_pretrained(f)\n"
        "i = p(text='<s> image 1 : <image> <q> Describe image 1. <a>',\n"
        "      images=[Image.new('RGB', (90, 60))], return_tensors='pt')\n"
        "print(p.tokenizer.decode(m.generate(**i, max_new_tokens=8)[0, -8:]))\n"
    )
    nowhere = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "TRANSFORMERS_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **nowhere},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_exam_equals_stock_generate(model: Any) -> None:
    """What the exam marks is what `generate` says when each question is asked alone."""
    processor = LlavaNextProcessor.from_pretrained(FOLDER)
    pages = held_out(model, 2, first=900)
    rng = np.random.default_rng(4)
    story, chosen = compose(pages.albums, 3, rng)
    questions = sample_questions(story, 8, rng)
    marks = mark(model, collate([(Sheet(story, chosen, questions), pages)]))
    pictures = [draw(scene) for scene in story.scenes]
    for question, one in zip(questions, marks, strict=True):
        content: list[dict[str, str]] = []
        for place in range(len(pictures) + 1):
            notes = [n.text for n in story.notes if n.place == place]
            content += [{"type": "text", "text": text} for text in notes]
            content += [{"type": "image"}] * (place < len(pictures))
        content.append({"type": "text", "text": question.text})
        turn = [{"role": "user", "content": content}]
        prompt = processor.apply_chat_template(turn, add_generation_prompt=True)
        inputs = processor(text=prompt, images=pictures, return_tensors="pt")
        out = model.generate(**inputs, do_sample=False, max_new_tokens=16)
        said = processor.tokenizer.decode(
            out[0, inputs.input_ids.shape[1] :], skip_special_tokens=True
        )
        assert (said == question.answer) == one.right, (question.text, said, one.said)


def test_short_card(model: Any) -> None:
    card = FOLDER / "card.json"
    assert short_disagreements(json.loads(card.read_text()), model) == []


@pytest.mark.slow
def test_pictures_answer_and_tiles_help(model: Any) -> None:
    """Blind, no task that needs pictures beats its best guess; small things need the tiles."""
    found = controls(alone(model, held_out(model, 10, 6000)), 4, 4)
    for task, share in found["blind"].items():
        if task != "needle":
            assert share <= found["guess"][task] + 0.08, task
    tiles = found["tiles"]
    assert tiles["questions"] > 100
    gains = [tiles["all"][task] - tiles["base"][task] for task in tiles["all"]]
    assert sum(gains) / len(gains) > 0.05
