"""What the pocket is to reach, in two ranges of pictures, and how far a list of marks is from it.

Knows no model and no drawing.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np

from pocket.exam import Mark

RANGES = {"2-6": range(2, 7), "7-12": range(7, 13)}
WANTED: dict[str, tuple[float, float]] = {
    "find": (0.95, 0.90),
    "find digit": (0.97, 0.92),
    "color": (0.97, 0.92),
    "shape": (0.97, 0.92),
    "exist": (0.97, 0.92),
    "exist any": (0.97, 0.92),
    "digit": (0.92, 0.85),
    "describe": (0.92, 0.85),
    "count": (0.92, 0.80),
    "needle": (0.95, 0.90),
    "change": (0.85, 0.80),
    "move": (0.90, 0.85),
}
PER_CELL = 400  # questions at least
PER_POSITION = 60  # fewer say nothing about a position
TURNS = 200  # of the fit by turns: more change no third digit


def cells(marks: list[Mark], turned: Iterable[Mark] = ()) -> dict[str, dict[str, dict[str, Any]]]:
    """Task -> range -> share right, its standard error, questions, and how low a position lies.

    `turned`: questions whose evidence stands at every position (`pocket.turning`). `dip` is how far
    the worst lies under the mean over positions, with its standard error; None where too few tell.
    """
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for name, counts in RANGES.items():
        by_task: dict[str, list[Mark]] = defaultdict(list)
        for one in marks:
            if one.pictures in counts:
                by_task[one.task].append(one)
        for task, own in by_task.items():
            share = sum(one.right for one in own) / len(own)
            cell: dict[str, Any] = {
                "accuracy": round(share, 3),
                "error": round(share_error(own), 3),
                "questions": len(own),
                "dip": None,
            }
            moved = [one for one in turned if one.task == task and one.pictures in counts]
            if effects := position_effects(moved):
                worst, error = min(effects.values())
                cell |= {"dip": round(-worst, 3), "dip_error": round(error, 3)}
            found[task][name] = cell
    return dict(found)


def share_error(marks: list[Mark]) -> float:
    """Standard error of the share right, questions about the same pictures taken together."""
    share = sum(one.right for one in marks) / len(marks)
    apart: dict[Hashable, float] = defaultdict(float)
    for one in marks:
        apart[one.evidence] += one.right - share
    return math.sqrt(sum(rest**2 for rest in apart.values())) / len(marks)


def position_effects(marks: list[Mark]) -> dict[int, tuple[float, float]]:
    """What each position adds to the share right, pictures being equal, and its standard error.

    0 on average over marks. Least squares of right = evidence + position, by turns, over evidence
    that stands at several positions: pictures differ more than positions do, and the luck of which
    stand where would else be taken for the position's. The error is clustered by evidence.
    Positions of fewer than PER_POSITION such marks are left out.
    """
    seen: dict[Hashable, set[int]] = defaultdict(set)
    for one in marks:
        if one.picture is not None:
            seen[one.evidence].add(one.picture)
    told = [m for m in marks if m.picture is not None and len(seen[m.evidence]) > 1]
    if not told:
        return {}
    number = {evidence: i for i, evidence in enumerate(seen)}
    item = np.array([number[m.evidence] for m in told])
    place = np.array([m.picture for m in told])
    right = np.array([m.right for m in told], float)
    items, places = np.bincount(item), np.bincount(place)
    effect = np.zeros(len(places))
    for _ in range(TURNS):
        level = np.bincount(item, right - effect[place]) / np.maximum(items, 1)
        effect = np.bincount(place, right - level[item]) / np.maximum(places, 1)
    rest = right - level[item] - effect[place]
    effect -= effect[place].mean()
    found = {}
    for p in range(len(places)):
        if places[p] >= PER_POSITION:
            apart = np.bincount(item[place == p], rest[place == p])
            found[p] = float(effect[p]), float(np.sqrt((apart**2).sum()) / places[p])
    return found


def scarce(marks: list[Mark]) -> dict[tuple[str, str], int]:
    """(task, range) -> questions still missing."""
    asked = {
        (task, name): cell["questions"]
        for task, row in cells(marks).items()
        for name, cell in row.items()
    }
    return {key: PER_CELL - n for key, n in asked.items() if n < PER_CELL}
