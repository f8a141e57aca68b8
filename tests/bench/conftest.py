"""An untrained pocket and one drawn question: real tensors, no trained answers to depend on."""

from pathlib import Path

import pytest
import torch

from bench.milebench.samples import Sample, load
from bench.pocketbench.writing import write_dataset
from myopia.loading import Checkpoint
from myopia.loading import load as load_checkpoint
from pocket.model import build_model, export


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors on a busy machine: threads wait for each other more than they work."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a pocket with random weights, larger than at birth so that attention is uneven."""
    folder = tmp_path_factory.mktemp("untrained")
    model = build_model(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "q_proj" in name or "k_proj" in name:
                weight.mul_(6)
    export(model, folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint(untrained: Path) -> Checkpoint:
    return load_checkpoint(str(untrained), device="cpu")


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Three retrieval questions over four pictures."""
    return load(write_dataset(tmp_path_factory.mktemp("drawn"), "GPR1200", 3, [4]))
