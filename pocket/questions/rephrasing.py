"""Says a question in other words, of the wider lists: training and the exam of wordings only.

The exam of the card keeps to wordings.toml. Knows no right answers.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pocket.questions.story import Question
from pocket.questions.wordings import name_thing

Ways = Mapping[str, tuple[str, ...]]
LISTS = ("chatty", "terse", "varied")
SHARE = 0.7  # of the questions of a training step


def _read() -> dict[str, tuple[str, ...]]:
    """Task -> its wordings in all wider lists."""
    ways: dict[str, tuple[str, ...]] = {}
    for name in LISTS:
        text = Path(__file__).with_name(f"wordings_{name}.toml").read_text(encoding="utf-8")
        for task, rows in tomllib.loads(text).items():
            ways[task] = (*ways.get(task, ()), *rows)
    return ways


WIDER = _read()


def say(question: Question, ways: Ways, rng: np.random.Generator) -> str | None:
    """The question in one of its task's ways; None where it lacks what the way speaks of."""
    own = ways["find" if question.task.startswith("find") else question.task]
    way = own[int(rng.integers(len(own)))]
    slots: dict[str, str | None] = {"shape": question.kind, "color": question.color}
    slots |= {"name": question.name, **dict(zip("kj", question.numbers, strict=False))}
    if question.kind or question.color:
        slots["thing"] = name_thing(question.kind, question.color, rng)
    wanted = re.findall(r"{(\w+)}", way)
    return way.format(**slots) if all(slots.get(slot) for slot in wanted) else None


def rephrase(question: Question, rng: np.random.Generator) -> str:
    """The question in one of the wider ways, SHARE of the time; else as it is."""
    said = say(question, WIDER, rng) if rng.random() < SHARE else None
    return said or question.text
