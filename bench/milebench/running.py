"""Runs any answerer over samples and writes one JSON line per sample; can be stopped and resumed.

A run folder holds `run.json` (what was run) and one `<dataset>.jsonl` per dataset. Knows no model:
an answerer is any callable from a sample to text.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from bench.milebench.samples import Sample
from bench.milebench.scoring import rule_of, score

Answer = Callable[[Sample], str]


class OtherRun(ValueError):
    """The folder holds a run with other settings; resuming it would mix two methods."""


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one sample."""

    dataset: str
    sample_id: int
    answer: str
    score: float
    rule: str
    level: str
    images: int
    depth: float | None
    seconds: float


def run(
    samples: Sequence[Sample],
    answer: Answer,
    folder: Path,
    settings: Mapping[str, Any],
    *,
    progress: TextIO | None = None,
) -> list[Result]:
    """Ask and score every sample that the folder has no line for; results of all, in order.

    Raises `OtherRun` where the folder was begun with other settings. An exception of the answerer
    ends the run; everything answered before it stays on disk.
    """
    _claim(folder, settings)
    done = {(result.dataset, result.sample_id): result for result in read_results(folder)}
    bar = _Bar(len(samples), progress or sys.stderr)
    results = []
    for sample in samples:
        key = (sample.dataset, sample.sample_id)
        if key not in done:
            done[key] = _ask(sample, answer)
            _append(folder / f"{sample.dataset}.jsonl", done[key])
        results.append(done[key])
        bar.step(results[-1])
    bar.close()
    return results


def read_results(folder: Path) -> list[Result]:
    """All results of a run folder; a last line cut off by a kill is left out."""
    results = []
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                results.append(Result(**json.loads(line)))
            except json.JSONDecodeError:
                continue
    return results


def _claim(folder: Path, settings: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.json"
    written = json.dumps(settings, indent=1, sort_keys=True)
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != json.loads(written):
        raise OtherRun(f"{path} was begun with other settings: name another folder or delete it")
    path.write_text(written + "\n", encoding="utf-8")


def _ask(sample: Sample, answer: Answer) -> Result:
    begun = time.perf_counter()
    said = answer(sample)
    seconds = time.perf_counter() - begun
    return Result(
        dataset=sample.dataset,
        sample_id=sample.sample_id,
        answer=said,
        score=score(sample, said),
        rule=rule_of(sample),
        level=sample.level,
        images=sample.image_count,
        depth=sample.depth,
        seconds=round(seconds, 4),
    )


def _append(path: Path, result: Result) -> None:
    """One whole line at once, on a line of its own even after a half-written one."""
    cut_off = path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8") as file:
        file.write(("\n" if cut_off else "") + json.dumps(asdict(result)) + "\n")


class _Bar:
    """A progress line on a terminal, nothing elsewhere."""

    def __init__(self, total: int, out: TextIO) -> None:
        self._total, self._out, self._done, self._sum = total, out, 0, 0.0
        self._begun = time.perf_counter()

    def step(self, result: Result) -> None:
        """Count one sample."""
        self._done += 1
        self._sum += result.score
        if self._out.isatty():
            left = (time.perf_counter() - self._begun) / self._done * (self._total - self._done)
            filled = 30 * self._done // self._total
            self._out.write(
                f"\r[{'#' * filled}{'.' * (30 - filled)}] {self._done}/{self._total} "
                f"{result.dataset} mean {self._sum / self._done:.3f}, {left:.0f} s left  "
            )
            self._out.flush()

    def close(self) -> None:
        """End the line."""
        if self._out.isatty() and self._done:
            self._out.write("\n")
