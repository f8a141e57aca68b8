"""Ways to say each question, read from wordings.toml, and how things are named in it.

Knows no right answers.
"""

import tomllib
from pathlib import Path

import numpy as np

WORDINGS: dict[str, tuple[str, ...]] = {
    task: tuple(ways)
    for task, ways in tomllib.loads(
        Path(__file__).with_name("wordings.toml").read_text(encoding="utf-8")
    ).items()
}


def word(task: str, rng: np.random.Generator, **slots: str) -> str:
    """One wording of the task, filled in."""
    ways = WORDINGS[task]
    # the first row is the documented wording: it is asked more often
    pick = 0 if rng.random() < 0.2 else int(rng.integers(len(ways)))
    return ways[pick].format(**slots)


def name_thing(kind: str | None, color: str | None, rng: np.random.Generator) -> str:
    """Such as: red circle, circle that is red, green object, digit 7, purple 7."""
    if kind is None:
        return str(rng.choice([f"{color} object", f"{color} shape", f"{color} thing"]))
    if kind.isdigit():
        plain = f"digit {kind}" if rng.random() < 0.75 else kind
        return plain if color is None else f"{color} {plain}"
    if color is None:
        return kind
    if rng.random() < 0.1:
        return f"{kind} that is {color}" if rng.random() < 0.6 else f"{kind} in {color}"
    return f"{color} {kind}"
