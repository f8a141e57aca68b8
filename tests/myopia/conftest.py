"""Fixtures shared by the library's tests: tiny checkpoints, written once per session."""

from pathlib import Path

import pytest
import torch

from tests.myopia.tiny import write_tiny


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    """Tiny tensors lose more to thread hand-over than they gain, most of all on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def mistral_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random checkpoint of the Mistral form."""
    return write_tiny("mistral", tmp_path_factory.mktemp("mistral"))


@pytest.fixture(scope="session")
def vicuna_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random checkpoint of the Vicuna form."""
    return write_tiny("vicuna", tmp_path_factory.mktemp("vicuna"))


@pytest.fixture(scope="session")
def small_tiles_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Mistral form with tiles of 16 tokens, for tests that need many pictures."""
    return write_tiny("mistral", tmp_path_factory.mktemp("small_tiles"), tile=56)
