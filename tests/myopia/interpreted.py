"""Programs that run Triton kernels in its interpreter on a CPU, each in a process of its own."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton is not installed (CPU wheels)"
)


def says(program: str) -> str:
    """What the program prints, without the space around it; its errors where it fails."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "TRITON_INTERPRET": "1"},  # read when Triton is loaded
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr[-2000:]
