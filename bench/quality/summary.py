"""From measured lines to means, standard errors and paired intervals; plain JSON comes out.

A dataset counts where the checkpoint's card offers its skills, the whole cache is right on three
quarters of it, and beats the text alone by a margin: elsewhere there is nothing to lose. Knows no
page layout.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from bench.intervals import paired_interval, standard_error
from bench.milebench.catalog import TASK_OF, TASKS
from bench.quality.grid import FULL, TEXT
from bench.quality.lines import Line
from myopia.policies import POLICIES

DEFAULT = "myopia"
MARGIN = 0.15
LEAST_FULL = 0.75
# Tokens of an answer, its end included, from which it is a long one: a colour has two.
LONG_ANSWER = 4
Key = Callable[[Line], Hashable]


def informative(
    lines: Sequence[Line],
    margin: float = MARGIN,
    among: Collection[str] | None = None,
    least: float = LEAST_FULL,
) -> list[str]:
    """Datasets that count, sorted; `among`: those that the checkpoint's card offers.

    `least`: the share that the whole cache must get right.
    """
    asked = [line for line in lines if TEXT in line.rows and line.protocol == "question"]
    asked = asked or [line for line in lines if TEXT in line.rows]
    names = sorted({line.dataset for line in asked if among is None or line.dataset in among})
    return [
        name
        for name in names
        if _mean(line.rows[FULL][0] for line in asked if line.dataset == name) >= least
        and _mean(line.rows[FULL][0] - line.rows[TEXT][0] for line in asked if line.dataset == name)
        >= margin
    ]


def summarise(
    lines: Sequence[Line], margin: float = MARGIN, among: Collection[str] | None = None
) -> dict[str, Any]:
    """Everything that tables are made of; scores in points (0-100).

    Raises ValueError where no dataset counts: the model does not read its pictures.
    """
    telling = set(informative(lines, margin, among))
    if not telling:
        raise ValueError(
            f"on no dataset is the whole cache right on {100 * LEAST_FULL:g} % and "
            f"{100 * margin:g} points above the text alone: this checkpoint does not read "
            "pictures, so nothing can be said about pruning"
        )
    protocols = sorted({line.protocol for line in lines})
    summary: dict[str, Any] = {"informative": sorted(telling), "protocols": {}}
    for protocol in protocols:
        mine = [line for line in lines if line.protocol == protocol]
        told = [line for line in mine if line.dataset in telling]
        summary["protocols"][protocol] = {
            "datasets": grouped(mine, lambda line: line.dataset),
            "tasks": tasks(mine),
            "losses": tasks([_lost(line) for line in told]),
            "rivals": rivals(told),
            "overall": overall(told),
            "places": grouped(told, _place),
            "place losses": grouped([_lost(line) for line in told], _place),
            "images": grouped(told, lambda line: str(line.images)),
            "fidelity": fidelity(told),
            "long": fidelity([line for line in mine if line.tokens >= LONG_ANSWER]),
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


def fidelity(lines: Sequence[Line]) -> dict[str, list[list[float]]]:
    """Per variant `[mean, error]` of: KL in nats, share of equal tokens, samples all equal."""
    cells: dict[str, list[list[float]]] = {}
    for line in lines:
        for name, row in line.rows.items():
            cells.setdefault(name, []).append([row[1], row[2], float(row[2] == 1)])
    return {
        name: [
            [round(_mean(column), 4), round(standard_error(column), 4)]
            for column in zip(*rows, strict=True)
        ]
        for name, rows in cells.items()
    }


def rivals(lines: Sequence[Line], policy: str = DEFAULT) -> dict[str, dict[str, list[float]]]:
    """Per variant of `policy`: its paired difference `[mean, low, high]` to every other policy."""
    names = sorted({name for line in lines for name in line.rows})
    found: dict[str, dict[str, list[float]]] = {}
    for mine in names:
        label, _, budget = mine.partition("@")
        if label != policy:
            continue
        for other in (f"{one}@{budget}" for one in POLICIES if one != policy):
            if other in names:
                strata: dict[str, list[float]] = {}
                for line in lines:
                    gain = 100 * (line.rows[mine][0] - line.rows[other][0])
                    strata.setdefault(line.dataset, []).append(gain)
                interval = paired_interval(list(strata.values()), resamples=1000)
                row = (interval.mean, interval.low, interval.high)
                found.setdefault(mine, {})[other] = [round(value, 2) for value in row]
    return found


def tasks(lines: Sequence[Line]) -> dict[str, dict[str, list[float]]]:
    """Per variant: MileBench's task scores `[mean, error, n]`, each the mean of its datasets."""
    by_dataset = grouped(lines, lambda line: line.dataset)
    found: dict[str, dict[str, list[float]]] = {}
    for name, cells in by_dataset.items():
        rows: dict[str, list[list[float]]] = {}
        for dataset, cell in cells.items():
            rows.setdefault(TASK_OF[dataset], []).append(cell)
        found[name] = {t: _averaged(rows[t]) for t in TASKS if t in rows}
    return found


def _lost(line: Line) -> Line:
    """The same sample with what every variant gains over the whole cache for its score."""
    full = line.rows[FULL][0]
    return replace(line, rows={k: [row[0] - full, *row[1:]] for k, row in line.rows.items()})


def _place(line: Line) -> str:
    return f"{line.images}/{line.place + 1}"


def _averaged(cells: Sequence[Sequence[float]]) -> list[float]:
    """Plain mean of means, with the error of independent ones."""
    error = sum(cell[1] ** 2 for cell in cells) ** 0.5 / len(cells)
    return [round(_mean(cell[0] for cell in cells), 2), round(error, 2), sum(c[2] for c in cells)]


def _cell(values: Sequence[float]) -> list[float]:
    return [round(_mean(values), 2), round(standard_error(values), 2), len(values)]


def _mean(values: Iterable[float]) -> float:
    row = list(values)
    return sum(row) / len(row) if row else 0.0
