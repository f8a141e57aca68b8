"""From measured lines to means, standard errors and paired intervals; plain JSON comes out.

A dataset counts as informative where the whole cache beats the text alone by a margin: on the
others a model that does not read its pictures cannot lose anything. Knows no page layout.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from bench.intervals import paired_interval, standard_error
from bench.milebench.catalog import TASK_OF, TASKS
from bench.quality.grid import FULL, TEXT
from bench.quality.measuring import Line

MARGIN = 0.15
Key = Callable[[Line], Hashable]


def informative(lines: Sequence[Line], margin: float = MARGIN) -> list[str]:
    """Datasets on which the whole cache beats the text alone by `margin`, sorted."""
    asked = [line for line in lines if TEXT in line.rows]
    names = sorted({line.dataset for line in asked})
    return [
        name
        for name in names
        if _mean(line.rows[FULL][0] - line.rows[TEXT][0] for line in asked if line.dataset == name)
        >= margin
    ]


def summarise(lines: Sequence[Line], margin: float = MARGIN) -> dict[str, Any]:
    """Everything that tables are made of; scores in points (0-100).

    Raises ValueError where no dataset is informative: the model does not read its pictures.
    """
    telling = set(informative(lines, margin))
    if not telling:
        raise ValueError(
            f"on no dataset does the whole cache beat the text alone by {100 * margin:g} points: "
            "this checkpoint does not read pictures, so nothing can be said about pruning"
        )
    protocols = sorted({line.protocol for line in lines})
    summary: dict[str, Any] = {"informative": sorted(telling), "protocols": {}}
    for protocol in protocols:
        mine = [line for line in lines if line.protocol == protocol]
        told = [line for line in mine if line.dataset in telling]
        summary["protocols"][protocol] = {
            "datasets": grouped(mine, lambda line: line.dataset),
            "tasks": _tasks(mine),
            "overall": overall(told),
            "places": grouped(told, lambda line: f"{line.images}/{line.place + 1}"),
            "images": grouped(told, lambda line: str(line.images)),
            "fidelity": fidelity(mine),
        }
    return summary


def grouped(lines: Sequence[Line], key: Key) -> dict[str, dict[str, list[float]]]:
    """Per variant and group: `[mean, standard error, n]`."""
    cells: dict[str, dict[str, list[float]]] = {}
    for line in lines:
        for name, row in line.rows.items():
            cells.setdefault(name, {}).setdefault(str(key(line)), []).append(100 * row[0])
    return {
        name: {group: _cell(values) for group, values in sorted(groups.items())}
        for name, groups in cells.items()
    }


def overall(lines: Sequence[Line]) -> dict[str, dict[str, float]]:
    """Per variant: mean over datasets, standard error, and the paired interval against `full`."""
    summary = {}
    for name in sorted({name for line in lines for name in line.rows}):
        scores: dict[str, list[float]] = {}
        losses: dict[str, list[float]] = {}
        for line in lines:
            if name in line.rows:
                scores.setdefault(line.dataset, []).append(100 * line.rows[name][0])
                loss = 100 * (line.rows[name][0] - line.rows[FULL][0])
                losses.setdefault(line.dataset, []).append(loss)
        interval = paired_interval(list(losses.values()), resamples=1000)
        errors = [standard_error(values) for values in scores.values()]
        summary[name] = {
            "mean": round(_mean(_mean(values) for values in scores.values()), 2),
            "error": round(sum(e * e for e in errors) ** 0.5 / len(errors), 2),
            "n": sum(len(values) for values in scores.values()),
            "loss": round(interval.mean, 2),
            "low": round(interval.low, 2),
            "high": round(interval.high, 2),
        }
    return summary


def fidelity(lines: Sequence[Line]) -> dict[str, list[float]]:
    """Per variant: mean KL to the whole cache in nats, share of equal tokens, of equal samples."""
    cells: dict[str, list[list[float]]] = {}
    for line in lines:
        for name, row in line.rows.items():
            cells.setdefault(name, []).append(row)
    return {
        name: [
            round(_mean(row[1] for row in rows), 4),
            round(_mean(row[2] for row in rows), 4),
            round(_mean(float(row[2] == 1) for row in rows), 4),
        ]
        for name, rows in cells.items()
    }


def _tasks(lines: Sequence[Line]) -> dict[str, dict[str, float]]:
    """Per variant: MileBench's task scores, each the mean of its datasets."""
    by_dataset = grouped(lines, lambda line: line.dataset)
    tasks: dict[str, dict[str, float]] = {}
    for name, cells in by_dataset.items():
        rows: dict[str, list[float]] = {}
        for dataset, cell in cells.items():
            rows.setdefault(TASK_OF[dataset], []).append(cell[0])
        tasks[name] = {t: round(_mean(rows[t]), 2) for t in TASKS if t in rows}
    return tasks


def calibration(
    lines: Sequence[Line], policy: str, budgets: Sequence[float], target: float
) -> list[dict[str, Any]]:
    """Smallest budget whose answers agree with the whole cache's, by question kind and pictures.

    Agreement of a sample: every token of the whole cache's answer is the likeliest one. Protocol
    `question`: as served, where the first token is always right, nothing could be calibrated.
    1 where no measured budget reaches `target`.
    """
    table = []
    mine = [line for line in lines if line.protocol == "question"]
    for dataset in sorted({line.dataset for line in mine}):
        for images in sorted({line.images for line in mine if line.dataset == dataset}):
            rows = [line.rows for line in mine if (line.dataset, line.images) == (dataset, images)]
            reached = 1.0
            for budget in sorted(budgets, reverse=True):
                name = f"{policy}@{budget:g}"
                if _mean(float(row[name][2] == 1) for row in rows) < target:
                    break
                reached = budget
            entry = {"dataset": dataset, "images": images, "budget": reached, "n": len(rows)}
            table.append(entry)
    return table


def _cell(values: Sequence[float]) -> list[float]:
    return [round(_mean(values), 2), round(standard_error(values), 2), len(values)]


def _mean(values: Iterable[float]) -> float:
    row = list(values)
    return sum(row) / len(row) if row else 0.0
