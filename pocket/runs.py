"""Keeps a training run resumable: checkpoints, the clock that learning rates follow, the curve.

Knows nothing of what is trained.
"""

import json
import math
import time
from pathlib import Path
from typing import Any

import torch


class Clock:
    """Counts trained minutes across restarts; `progress` goes from 0 to 1."""

    def __init__(self, minutes: float, spent_minutes: float = 0.0) -> None:
        self.minutes = minutes
        self._before = spent_minutes
        self._start = time.monotonic()

    @property
    def spent_minutes(self) -> float:
        """Minutes trained so far, earlier starts included."""
        return self._before + (time.monotonic() - self._start) / 60

    @property
    def progress(self) -> float:
        """Share of the planned minutes that is spent."""
        return min(1.0, self.spent_minutes / self.minutes)


def rate(progress: float, step: int, peak: float, decay_from: float) -> float:
    """Learning rate: warm-up of 100 steps, constant, then linear to a fiftieth."""
    warm = min(1.0, (step + 1) / 100)
    fall = max(0.0, (progress - decay_from) / (1 - decay_from)) if decay_from < 1 else 0.0
    return peak * warm * (1 - 0.98 * fall)


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a crash never leaves half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_state(path: Path) -> dict[str, Any] | None:
    """The checkpoint at `path`, or None."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    return state


def note(path: Path, **numbers: float | str) -> None:
    """Append one line to the run's curve and print it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tidy = {
        k: round(v, 4) if isinstance(v, float) and math.isfinite(v) else v
        for k, v in numbers.items()
    }
    with path.open("a") as stream:
        stream.write(json.dumps(tidy) + "\n")
    print(json.dumps(tidy), flush=True)
