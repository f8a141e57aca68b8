"""The quality page's tables, from summaries to Markdown.

Knows the summary's shape and which rows each table has; every table has the rows that it must be
read with (no picture's KV, random) and its standard errors.
"""

from collections.abc import Mapping, Sequence

from bench.milebench.catalog import TASKS
from bench.quality.grid import BUDGETS, FULL, LOW, NONE, SUBSIDIES, TEXT
from bench.quality.plots import PRUNERS, Json
from bench.tables import table

RODS = (FULL, NONE, TEXT)
BESIDE = (
    "myopia, quota",
    "myopia, peaks",
    "preset paper",
    "paper, our bins",
    "probe",
    "probe quota",
)


def floors(main: Json) -> str:
    """What the model can do at all, by dataset."""
    first = next(p for p in ("question", "blind", "turn") if p in main["protocols"])
    cells = main["protocols"][first]["datasets"]
    rows = [
        [
            dataset,
            *(_cell(cells[name].get(dataset)) for name in RODS),
            "yes" if dataset in main["informative"] else "no",
        ]
        for dataset in cells[FULL]
    ]
    return (
        "## What the model can do at all\n\nMeans below are over the datasets that count: the "
        "checkpoint's card offers what they need, the whole cache is right on 75 % or more, and "
        "beats the text alone by 15 points. On the others there is nothing to lose.\n\n"
        + table(["dataset", *RODS, "counts"], rows)
    )


def policies(rows: Json) -> str:
    """One protocol's policies by budget, in the mean over the datasets that count."""
    overall = rows["overall"]
    body = _rods(overall, len(BUDGETS))
    for label in (*PRUNERS, *BESIDE):
        cells = [overall.get(f"{label}@{budget:g}") for budget in BUDGETS]
        if any(cells):
            shown = label if label in PRUNERS else f"*{label}*"
            body.append([shown, *(_with_loss(cell) for cell in cells)])
    return table(["policy", *(f"{100 * budget:g} %" for budget in BUDGETS)], body)


def by_task(rows: Json) -> str:
    """All policies by task code, one table per budget."""
    names = [task for task in TASKS if task in rows["tasks"][FULL]]
    parts = []
    for budget in BUDGETS:
        shown = [FULL, NONE, TEXT, *(f"{policy}@{budget:g}" for policy in PRUNERS)]
        body = [
            [name.split("@")[0], *(_cell(rows["tasks"][name].get(task)) for task in names)]
            for name in shown
            if name in rows["tasks"]
        ]
        parts.append(
            f"Protocol question, {100 * budget:g} %:\n\n" + table(["policy", *names], body)
        )
    return "\n".join(parts)


def places(rows: Json) -> str:
    """Scores by place of the evidence at 20 %, at the most pictures measured."""
    found = rows["places"]
    most = max(int(group.split("/")[0]) for group in found[FULL])
    keys = [f"{most}/{k}" for k in range(1, most + 1) if f"{most}/{k}" in found[FULL]]
    shown = [*RODS, *(f"{policy}@0.2" for policy in PRUNERS)]
    body = [
        [name.split("@")[0], *(_cell(found[name].get(key)) for key in keys)]
        for name in shown
        if name in found
    ]
    return table([f"of {most}", *(key.split("/")[1] for key in keys)], body)


def heads(rows: Json) -> str:
    """Table A1: head-wise against aggregate, by task, at equal budgets."""
    body = []
    for budget in LOW:
        for label, name in (
            ("head-wise", f"myopia head-wise@{budget:g}"),
            ("head-aggregate", f"myopia@{budget:g}"),
            ("random", f"random@{budget:g}"),
        ):
            if name in rows["tasks"]:
                body.append([f"{label} {100 * budget:g} %", *_a1(rows["tasks"][name])])
    body += [[name, *_a1(rows["tasks"][name])] for name in RODS if name in rows["tasks"]]
    return table(["", "T-1", "T-2", "T-4", "S-2", "S-3", "NH", "IR"], body)


def _a1(scores: Mapping[str, Sequence[float]]) -> list[str]:
    needles = [scores[task] for task in ("N-1", "N-2") if task in scores]
    both = (
        [
            sum(cell[0] for cell in needles) / len(needles),
            sum(cell[1] ** 2 for cell in needles) ** 0.5 / len(needles),
        ]
        if needles
        else None
    )
    tasks = [scores.get(task) for task in ("T-1", "T-2", "T-4", "S-2", "S-3")]
    return [_cell(cell) for cell in (*tasks, both, scores.get("I-1"))]


def captions(found: Json) -> str:
    """Table A2."""
    body = [
        [name, _cell(found["served"][name]), _cell(found["question"][name])]
        for name in found["served"]
    ]
    return table(["", "served", "question"], body)


def bins(protocols: Json) -> str:
    """Bins on, off and as the paper has them."""
    labels = [f"{base}, bins {mode}" for base in ("myopia", "sums") for mode in _MODES]
    body = []
    for protocol in ("question", "blind"):
        if protocol not in protocols:
            continue
        rows = protocols[protocol]
        for label in (*labels, "random"):
            cells = [rows["overall"].get(f"{label}@{b:g}") for b in LOW]
            if any(cells):
                body.append([f"{protocol}: {label}", *(_with_loss(cell) for cell in cells)])
        body += [[f"{protocol}: {row[0]}", *row[1:]] for row in _rods(rows["overall"], len(LOW))]
    return table(["", *(f"{100 * budget:g} %" for budget in LOW)], body)


_MODES = ("matched", "mass", "off", "paper")


def subsidies(protocols: Json) -> str:
    """Forms of the subsidy."""
    body = []
    for protocol, rows in protocols.items():
        for form in SUBSIDIES:
            cells = [
                rows["overall"].get(f"subsidy {form} alpha {alpha}@{budget:g}")
                for alpha in ("0", "0.5")
                for budget in (0.2, 0.1)
            ]
            if any(cells):
                body.append([f"{protocol}: {form}", *(_mean(cell) for cell in cells)])
        body += [[f"{protocol}: {row[0]}", *row[1:]] for row in _rods(rows["overall"], 4)]
        random = [rows["overall"].get(f"random@{budget:g}") for budget in (0.2, 0.1)] * 2
        body.append([f"{protocol}: random", *(_mean(cell) for cell in random)])
    header = ["", "alpha 0, 20 %", "alpha 0, 10 %", "alpha .5, 20 %", "alpha .5, 10 %"]
    return table(header, body)


def measured_with(rows: Json) -> str:
    """The rods of a plot, as a sentence."""
    overall = rows["overall"]
    names = [name for name in (*RODS, "random@0.1") if name in overall]
    errors = [cell["error"] for name, cell in overall.items() if name.startswith("gamma")]
    said = ", ".join(f"{name.split('@')[0]} {_mean(overall[name])}" for name in names)
    return f"{said}; cells of the surface ± {max(errors):.1f} at most.\n" if errors else ""


def fidelity(cells: Mapping[str, Sequence[Sequence[float]]]) -> str:
    """KL and agreements at 20 %."""
    shown = [NONE, TEXT, *(f"{policy}@0.2" for policy in PRUNERS)]
    body = [
        [name.split("@")[0], *(f"{mean:.3f} ± {error:.3f}" for mean, error in cells[name])]
        for name in shown
        if name in cells
    ]
    return table(["policy", "KL", "tokens", "all"], body)


def _rods(overall: Json, columns: int) -> list[list[str]]:
    return [[name, _mean(overall[name]), *[""] * (columns - 1)] for name in RODS if name in overall]


def _cell(cell: Sequence[float] | None) -> str:
    return "" if cell is None else f"{cell[0]:.1f} ± {cell[1]:.1f}"


def _mean(cell: Json | None) -> str:
    return "" if cell is None else f"{cell['mean']:.1f} ± {cell['error']:.1f}"


def _with_loss(cell: Json | None) -> str:
    if cell is None:
        return ""
    return f"{_mean(cell)} ({cell['loss']:+.1f} [{cell['low']:+.1f}, {cell['high']:+.1f}])"
