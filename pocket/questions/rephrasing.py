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
from pocket.words import COLORS, SHAPES

Ways = Mapping[str, tuple[str, ...]]
LISTS = ("chatty", "terse", "varied", "twofold")
SHARE = 0.7  # of the questions of a training step
CHECKED = 0.12  # of those that can be asked by naming what the answer may be


def _read(*lists: str) -> dict[str, tuple[str, ...]]:
    """Task -> its wordings in these lists."""
    ways: dict[str, tuple[str, ...]] = {}
    for name in lists:
        text = Path(__file__).with_name(f"wordings_{name}.toml").read_text(encoding="utf-8")
        for task, rows in tomllib.loads(text).items():
            ways[task] = (*ways.get(task, ()), *rows)
    return ways


WIDER = _read(*LISTS)
CHECKS = _read("checks")


def say(question: Question, ways: Ways, rng: np.random.Generator) -> str | None:
    """The question in one of its task's ways; None where it lacks what the way speaks of."""
    own = ways["find" if question.task.startswith("find") else question.task]
    way = own[int(rng.integers(len(own)))]
    slots: dict[str, str | None] = {"shape": question.kind, "color": question.color}
    slots |= {"name": question.name, **dict(zip("kj", question.numbers, strict=False))}
    if question.kind or question.color:
        slots["thing"] = name_thing(question.kind, question.color, rng)
    wanted = re.findall(r"{(\w+)}", way)
    if {"either", "others"} & {*wanted}:
        slots |= _choices(question.answer, COLORS if question.task == "color" else SHAPES, rng)
    return way.format(**slots) if all(slots.get(slot) for slot in wanted) else None


def _choices(right: str, words: tuple[str, ...], rng: np.random.Generator) -> dict[str, str]:
    """`either` names the right word among two or three; `others` any of them."""
    wrong = [str(w) for w in rng.permutation([w for w in words if w != right])[:3]]
    either = [str(w) for w in rng.permutation([right, *wrong[: int(rng.integers(1, 3))]])]
    others = wrong[: int(rng.integers(1, 3))] if rng.random() < 0.6 else either[:1]
    return {"either": _listed(either), "others": _listed(others)}


def _listed(words: list[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def rephrase(question: Question, rng: np.random.Generator) -> str:
    """The question in one of the wider ways, SHARE of the time; else as it is.

    Now and then it names what the answer may be.
    """
    if question.task in CHECKS and rng.random() < CHECKED:
        return say(question, CHECKS, rng) or question.text
    said = say(question, WIDER, rng) if rng.random() < SHARE else None
    return said or question.text
