"""What was measured, one line per sample and protocol, and reading it back from a run's folder.

Knows the shape of results; not how they come about, and no table.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Line:
    """One sample under one protocol: per variant name, `[score, kl, agreement]`.

    `place`: where the evidence stands among the pictures, from 0. `kind`: how the question is
    put, in the words of `bench.quality.kinds`. `tokens`: length of the whole cache's answer.
    """

    dataset: str
    number: int
    images: int
    place: int
    protocol: str
    full_answer: str
    rows: dict[str, list[float]]
    kind: str = ""
    tokens: int = 0


def read_lines(folder: Path) -> list[Line]:
    """Lines of all parts of a run; one cut off by a kill is left out."""
    lines = []
    for path in sorted(folder.glob("lines-*.jsonl")):
        for text in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(Line(**json.loads(text)))
            except json.JSONDecodeError:
                continue
    return lines


def claim(path: Path, facts: dict[str, Any]) -> None:
    """Write what a run folder holds; ValueError where it holds another run."""
    if path.exists() and json.loads(path.read_text(encoding="utf-8")) != facts:
        raise ValueError(f"{path} describes another run: name another folder or delete this one")
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
