"""README's table of policies at a budget of .1, written between its two marks.

Knows the summary's shape and the marks; not how anything was measured.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.pocketbench.writing import SKILLS
from bench.quality.grid import FULL, NONE, TABLE_BUDGET, TEXT
from bench.quality.plots import PRUNERS
from bench.tables import table

BEGIN, END = "<!-- policies: python -m bench.quality --policies -->", "<!-- /policies -->"
OTHERS = ("preset paper", "paper, our bins")


def write(summary: Mapping[str, Any], page: Path) -> None:
    """Replace what stands between the marks; ValueError where the page lacks them."""
    text = page.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} needs the marks {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{policy_table(summary)}{END}{after}", encoding="utf-8")


def policy_table(summary: Mapping[str, Any]) -> str:
    """One row per policy: task accuracies and their mean, question run on the pruned pictures."""
    rows = summary["protocols"]["question"]
    blind = summary["protocols"].get("blind", {}).get("overall", {})
    datasets = [name for name in SKILLS if name in rows["datasets"][FULL]]
    names = [FULL, *(f"{label}@{TABLE_BUDGET:g}" for label in (*PRUNERS, *OTHERS)), NONE, TEXT]
    body = [
        [
            _label(name),
            *(_cell(rows["datasets"][name].get(dataset)) for dataset in datasets),
            _mean(rows["overall"].get(name)),
            _mean(blind.get(name)),
        ]
        for name in names
        if name in rows["datasets"]
    ]
    questions = min(rows["datasets"][FULL][dataset][2] for dataset in datasets)
    header = ["policy", *(column(dataset) for dataset in datasets), "mean", "mean, blind"]
    return (
        f"\nAccuracy in points ± standard error at a budget of {TABLE_BUDGET:g}, {questions} "
        "questions a task on drawings that training never saw; scores from the whole prompt, then "
        "the question again on what was kept. *Mean, blind*: kept before the question was known. "
        f"Means are over {', '.join(column(name) for name in summary['informative'])}.\n\n"
        + table(header, body)
    )


def column(dataset: str) -> str:
    """The card's words; where two datasets need the same, what sets the second apart."""
    apart = {
        "WikiVQA": ", notes between",
        "ALFRED": ", notes between",
        "ImageNeedleInAHaystack": ", only one",
        "ActionSequence": ", over three",
        "EgocentricNavigation": ", a walk",
        "Spot-the-Diff": ", in words",
    }
    return " + ".join(SKILLS[dataset]) + apart.get(dataset, "")


def _label(name: str) -> str:
    label = name.partition("@")[0]
    return f"`{label}`" if label in (FULL, *PRUNERS) else f"*{label}*"


def _cell(cell: Sequence[float] | None) -> str:
    return "" if cell is None else f"{cell[0]:.1f} ± {cell[1]:.1f}"


def _mean(cell: Mapping[str, float] | None) -> str:
    return "" if cell is None else f"**{cell['mean']:.1f}** ± {cell['error']:.1f}"
