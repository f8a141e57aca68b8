"""Checkpoints are loaded whole, named exactly, and refused by name where they cannot run."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from myopia.errors import Unsupported
from myopia.loading import load
from myopia.revision import revision_of
from myopia.templates import FORMS


def edited(folder: Path, goal: Path, **changes: object) -> Path:
    """A copy whose config.json differs; dotted names reach inside."""
    shutil.copytree(folder, goal)
    config = json.loads((goal / "config.json").read_text())
    for name, value in changes.items():
        *outer, last = name.split("__")
        place = config
        for key in outer:
            place = place[key]
        place[last] = value
    (goal / "config.json").write_text(json.dumps(config))
    return goal


def test_facts(mistral_folder: Path, vicuna_folder: Path) -> None:
    mistral, vicuna = load(str(mistral_folder)).facts(), load(str(vicuna_folder)).facts()
    assert json.loads(json.dumps(mistral)) == mistral
    assert mistral["name"] == mistral_folder.name
    assert mistral["revision"] != vicuna["revision"]
    assert (mistral["context"], vicuna["context"]) == (32768, 4096)
    assert (mistral["tile"], mistral["patch"], mistral["base_tokens"]) == (336, 14, 576)
    assert [336, 1008] in mistral["pinpoints"]
    assert mistral["kv_bytes_per_token"] == 3 * 2 * 2 * 16 * 4
    assert vicuna["kv_bytes_per_token"] == 3 * 2 * 4 * 16 * 4


def test_dtype_is_the_callers(mistral_folder: Path) -> None:
    checkpoint = load(str(mistral_folder), device="cpu", dtype="bfloat16")
    assert checkpoint.dtype == torch.bfloat16
    assert checkpoint.facts()["kv_bytes_per_token"] == 384


def test_a_checkpoint_without_a_template_gets_its_form(
    mistral_folder: Path, vicuna_folder: Path, tmp_path: Path
) -> None:
    for folder, form in ((mistral_folder, "mistral"), (vicuna_folder, "vicuna")):
        bare = tmp_path / form
        shutil.copytree(folder, bare)
        (bare / "chat_template.jinja").unlink()
        assert load(str(bare)).chat_template == FORMS[form]  # type: ignore[index]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"text_config__sliding_window": 4096}, "sliding window"),
        ({"vision_feature_select_strategy": "full"}, "class token"),
        ({"model_type": "llava"}, "not a LLaVA-NeXT"),
    ],
)
def test_what_cannot_run_is_refused(
    mistral_folder: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(Unsupported, match=said):
        load(str(edited(mistral_folder, tmp_path / "copy", **changes)))


def test_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unsupported, match="local hub cache"):
        load("llava-hf/llava-v1.6-mistral-7b-hf-that-is-not-here")


def test_revision_follows_contents(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(1000))
    first = revision_of(tmp_path)
    assert first == revision_of(tmp_path)
    for beside in ("README.md", "calibration.json", "card.json", "training.json"):
        (tmp_path / beside).write_text("no part of the model")
        assert first == revision_of(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(bytes(999) + b"\1")
    assert first != revision_of(tmp_path)


def test_revision_of_a_big_file_samples_it(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    size = 100 * 2**20
    with path.open("wb") as file:
        file.write((8).to_bytes(8, "little"))
        file.truncate(size)
    first = revision_of(tmp_path)
    with path.open("r+b") as file:  # a trained tensor: a stretch longer than the samples' spacing
        file.seek(size // 2)
        file.write(b"\1" * (3 * 2**20))
    assert first != revision_of(tmp_path)
