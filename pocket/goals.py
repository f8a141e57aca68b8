"""What the pocket is to reach, in two ranges of pictures, and how far a list of marks is from it.

Knows no model and no drawing.
"""

from collections import defaultdict
from typing import Any

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


def cells(marks: list[Mark]) -> dict[str, dict[str, dict[str, Any]]]:
    """Task -> range -> share right, questions, and how far the worst position lies under the mean.

    `dip` is None where evidence has no single position or too few questions share one.
    """
    found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for name, counts in RANGES.items():
        by_task: dict[str, list[Mark]] = defaultdict(list)
        for one in marks:
            if one.pictures in counts:
                by_task[one.task].append(one)
        for task, own in by_task.items():
            share = sum(one.right for one in own) / len(own)
            places: dict[int, list[bool]] = defaultdict(list)
            for one in own:
                if one.picture is not None:
                    places[one.picture].append(one.right)
            shares = [sum(v) / len(v) for v in places.values() if len(v) >= PER_POSITION]
            found[task][name] = {
                "accuracy": round(share, 3),
                "questions": len(own),
                "dip": round(share - min(shares), 3) if shares else None,
            }
    return dict(found)


def scarce(marks: list[Mark]) -> dict[tuple[str, str], int]:
    """(task, range) -> questions still missing."""
    asked = {
        (task, name): cell["questions"]
        for task, row in cells(marks).items()
        for name, cell in row.items()
    }
    return {key: PER_CELL - n for key, n in asked.items() if n < PER_CELL}
