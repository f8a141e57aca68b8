"""One thread for every process of the tests, theirs and those that they start.

Two files are tested at a time, with gateways, workers and browsers of their own. Where each takes
several cores for small tensors, threads wait for each other more than they work: ten times slower.
"""

import os
import sys
from collections.abc import Iterator

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded


@pytest.fixture(autouse=True)
def _threads_as_before() -> Iterator[None]:
    """A test that takes more threads for itself does not leave them to those after it."""
    yield
    torch = sys.modules.get("torch")
    threads = int(os.environ["OMP_NUM_THREADS"])
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
