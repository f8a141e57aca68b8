"""The engine against kvpress in another environment: the same prompts, pictures and weights.

kvpress prunes text as it prunes images, so its cache is the smaller one at the same budget. Its
pixels are prepared here and not counted. Nothing here imports it.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bench.speed import clock
from bench.speed.contenders import Workload, by_engine, make_engine, requests, stock_inputs
from bench.speed.figures import Figure, ratio
from bench.speed.subjects import POCKET, Subject

CHILD = Path(__file__).with_name("kvpress_rival.py")


def has_kvpress(python: Path) -> bool:
    """Whether this is a Python that can import kvpress."""
    try:
        probe = [str(python), "-c", "import importlib.util as u; assert u.find_spec('kvpress')"]
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


class Rival:
    """The other process; used as a context."""

    def __init__(self, python: Path, budget: float) -> None:
        self.tokens: list[list[list[int]]] = []  # by batch and row
        threads = str(torch.get_num_threads())
        self._process = subprocess.Popen(
            [str(python), str(CHILD), str(POCKET), threads, str(budget)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={"OMP_NUM_THREADS": threads},
        )
        if self._line() != "ready":
            raise RuntimeError(f"{python} cannot run {CHILD.name}; try it there by hand")

    def __enter__(self) -> "Rival":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def answer(self, inputs: list[dict[str, Any]], tokens: int) -> float:
        """Seconds for all inputs, one `generate()` each; `tokens` has then what was answered."""
        assert self._process.stdin is not None
        with tempfile.TemporaryDirectory() as folder:
            at = Path(folder) / "inputs.pt"
            torch.save(inputs, at)
            self._process.stdin.write(json.dumps({"inputs": str(at), "tokens": tokens}) + "\n")
            self._process.stdin.flush()
            told = json.loads(self._line())
        self.tokens = told["tokens"]
        assert all(len(row) == tokens for batch in self.tokens for row in batch)
        return float(told[clock.chosen()])

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def against_kvpress(
    subject: Subject, work: Workload, rounds: Iterable[int], python: Path
) -> list[Figure]:
    """Answers per second over `generate()` under SnapKV, one by one and as a static batch."""
    engine = make_engine(subject)
    seconds: dict[str, list[float]] = {"engine": [], "one by one": [], "static batch": []}
    with Rival(python, 0.2) as rival:
        for number in rounds:
            asks = requests(subject, work, 300 + number)
            alone = [plain(stock_inputs(subject, [ask])) for ask in asks]
            together = [plain(stock_inputs(subject, asks))]
            seconds["one by one"].append(rival.answer(alone, work.tokens))
            seconds["engine"].append(by_engine(engine, asks, 0.2))
            seconds["static batch"].append(rival.answer(together, work.tokens))
    sizes = f"{work.asks} asks, {work.pictures} pictures, {work.tokens} tokens"
    return [
        replace(
            ratio(f"answers/s over kvpress SnapKV, {way}", seconds[way], seconds["engine"], None),
            sizes=sizes,
        )
        for way in ("one by one", "static batch")
    ]


def plain(inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Tensors only, which another environment can read from a file."""
    return {name: torch.as_tensor(value) for name, value in inputs.items()}
