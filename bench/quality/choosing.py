"""`python -m bench.quality.choosing`: which knobs should be the defaults, by what was measured.

Candidates are ranked on one draw of questions and the winner is held against the present presets
on another, so that what is reported was not chosen on. Neither draw is the quality page's.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Literal

from bench.intervals import paired_interval
from bench.quality import grid
from bench.quality.lines import Line
from bench.quality.measuring import Plan
from bench.quality.offered import offered_datasets
from bench.quality.plots import slug
from bench.quality.protocols import Protocol
from bench.quality.runs import crew
from bench.quality.summary import informative
from bench.tables import table
from myopia.params import Pruning
from myopia.presets import PRESETS
from pocket import weights_folder

CHOOSING_SEED, VERIFYING_SEED = 11, 12
# The first token after prefill comes from the whole cache, so `served` weighs as what it is: a
# third of the mark that few questions can move.
PROTOCOLS: tuple[Protocol, ...] = ("served", "question", "blind")
Guide = Literal["question", "reply", "both"]
BinMode = Literal["mass", "off"]
ALPHAS = (0.3, 0.5, 0.8)
GUIDES: tuple[Guide, ...] = ("question", "reply", "both")
FORMS: tuple[tuple[str, float, BinMode], ...] = (
    ("index", 1.8, "mass"),
    ("quota", 1.0, "mass"),
    ("quota", 1.8, "mass"),
    ("quota", 1.8, "off"),
    ("asked", 1.0, "mass"),
    ("asked", 1.0, "off"),
)
# Verifying takes few prunings, so it can have more questions.
MORE = 3


@dataclass(frozen=True, slots=True)
class Mark:
    """A candidate's mean loss in points over protocols and budgets, and its KL as tie-breaker."""

    label: str
    loss: float
    kl: float
    cells: dict[str, float]


def candidates(budgets: Sequence[float] = grid.LOW) -> list[grid.Variant]:
    """Mixtures of the method's own parts, and the presets."""
    variants = list(presets(budgets))
    for alpha, guide, (form, gamma, mode) in product(ALPHAS, GUIDES, FORMS):
        base = replace(grid.PLAIN, alpha=alpha, subsidy=form, gamma=gamma)
        label = f"alpha {alpha:g}, {guide}, {form} {gamma:g}, bins {mode}"
        variants += grid.at(label, replace(base, guide=guide, bin_mode=mode), budgets)
    variants += grid.at("default, head-wise", replace(Pruning(), head_mode="wise"), budgets)
    return variants


def presets(budgets: Sequence[float] = grid.LOW) -> list[grid.Variant]:
    """The presets as they are now."""
    return [
        one for name, knobs in PRESETS.items() for one in grid.at(f"preset {name}", knobs, budgets)
    ]


def marks(lines: Sequence[Line], labels: Sequence[str]) -> list[Mark]:
    """Every label's mark, best first: least loss, of equals the least KL.

    Losses are means over datasets, so that no dataset counts twice.
    """
    names = {label: [f"{label}@{budget:g}" for budget in grid.LOW] for label in labels}
    found = []
    for label in labels:
        cells = {
            f"{protocol} {name.rpartition('@')[2]}": _loss(lines, protocol, name)
            for protocol in PROTOCOLS
            for name in names[label]
            if any(line.protocol == protocol for line in lines)
        }
        rows = [line.rows[name] for line in lines for name in names[label]]
        kl = sum(row[1] for row in rows) / len(rows)
        found.append(Mark(label, sum(cells.values()) / len(cells), kl, cells))
    return sorted(found, key=lambda mark: (round(mark.loss, 3), mark.kl))


def _loss(lines: Sequence[Line], protocol: str, name: str) -> float:
    losses: dict[str, list[float]] = {}
    for line in lines:
        if line.protocol == protocol:
            lost = 100 * (line.rows[grid.FULL][0] - line.rows[name][0])
            losses.setdefault(line.dataset, []).append(lost)
    means = [sum(row) / len(row) for row in losses.values()]
    return sum(means) / len(means)


def against(lines: Sequence[Line], label: str, other: str) -> dict[str, Any]:
    """Paired difference of two labels, by protocol and budget, with its 95 % interval."""
    found = {}
    for protocol in PROTOCOLS:
        for budget in grid.LOW:
            strata: dict[str, list[float]] = {}
            for line in lines:
                if line.protocol == protocol:
                    mine, theirs = (line.rows[f"{one}@{budget:g}"][0] for one in (label, other))
                    strata.setdefault(line.dataset, []).append(100 * (mine - theirs))
            if strata:
                interval = paired_interval(list(strata.values()), resamples=1000)
                found[f"{protocol} {budget:g}"] = [
                    round(value, 2) for value in (interval.mean, interval.low, interval.high)
                ]
    return found


def main() -> None:
    """Choose, verify, and print both."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.choosing", description=__doc__)
    parser.add_argument("--model", default=str(weights_folder()))
    parser.add_argument("--out", type=Path, default=Path("build/choosing"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--samples", type=int, default=8, help="per dataset and picture count")
    parser.add_argument("--images", type=int, nargs="*", default=[4, 8])
    asked = parser.parse_args()
    datasets = offered_datasets(asked.model)
    images = tuple(asked.images)
    with crew(asked.model, asked.jobs) as team:
        plan = Plan(datasets, images, asked.samples, tuple(candidates()), PROTOCOLS, CHOOSING_SEED)
        chosen_on = _told(team.run(plan, asked.out / "choose"))
        ranked = marks(chosen_on, list(dict.fromkeys(v.label for v in plan.variants)))
        best = next(mark for mark in ranked if not mark.label.startswith("preset"))
        finalists = [v for v in candidates() if v.label == best.label or "preset" in v.label]
        finalists += grid.policies(grid.LOW)
        more = MORE * asked.samples
        again = Plan(datasets, images, more, tuple(finalists), PROTOCOLS, VERIFYING_SEED)
        verified_on = _told(team.run(again, asked.out / f"verify-{slug(best.label)}"))
    labels = list(dict.fromkeys(v.label for v in finalists))
    final = marks(verified_on, labels)
    versus = {o: against(verified_on, best.label, o) for o in labels if o != best.label}
    print(f"Chosen on seed {CHOOSING_SEED}:\n\n{_shown(ranked[:12])}")
    print(f"Verified on seed {VERIFYING_SEED}:\n\n{_shown(final)}")
    print(json.dumps({o: versus[o] for o in versus if o.startswith("preset")}, indent=1))
    record = {"ranked": [asdict(m) for m in ranked], "verified": [asdict(m) for m in final]}
    (asked.out / "choice.json").write_text(json.dumps(record | {"against": versus}, indent=1))


def _told(lines: Sequence[Line]) -> list[Line]:
    telling = set(informative(lines))
    return [line for line in lines if line.dataset in telling]


def _shown(ranked: Sequence[Mark]) -> str:
    columns = list(ranked[0].cells)
    rows = [
        [
            mark.label,
            f"{mark.loss:.2f}",
            f"{mark.kl:.3f}",
            *(f"{mark.cells[c]:.1f}" for c in columns),
        ]
        for mark in ranked
    ]
    return table(["loss in points", "mean", "KL", *columns], rows)


if __name__ == "__main__":
    main()
