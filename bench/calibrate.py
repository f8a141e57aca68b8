"""`python -m bench.calibrate CHECKPOINT`: measure which budget is enough, for asks with `auto`.

Asks drawn questions of every form with the whole cache and with the default policy at falling
budgets, the question run again on what was kept (as served the first token is always right, so
nothing would show), and writes the shares of equal answers to calibration.json beside the weights.
"""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.quality import grid
from bench.quality.asking import bare_parts
from bench.quality.lines import Line
from bench.quality.measuring import Plan, samples_of
from bench.quality.offered import offered_datasets
from bench.quality.runs import crew
from myopia.params import Pruning
from myopia.revision import revision_of
from wire.pruning import Pruning as WirePruning
from worker.calibration import AMOUNT, FILE, question_kind

BUDGETS = (0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05)
LABEL = "default"
SEED = 21
# Fewer questions say too little about a share of .95.
LEAST_QUESTIONS = 20


def plan_of(model: str, samples: int, images: Sequence[int]) -> Plan:
    """Every form of question that the checkpoint's card offers."""
    variants = tuple(grid.at(LABEL, Pruning(), BUDGETS))
    return Plan(offered_datasets(model), tuple(images), samples, variants, ("question",), SEED)


def kinds_of(plan: Plan, folder: Path) -> dict[tuple[str, int], str]:
    """Kind of every question, by the same rule that a worker uses for a live ask."""
    kinds = {}
    for sample in samples_of(plan, folder / "drawn"):
        parts = bare_parts(sample)
        places = [place for place, part in enumerate(parts) if isinstance(part, Path)]
        between = any(isinstance(part, str) for part in parts[places[0] : places[-1]])
        kind = question_kind(options=bool(sample.choices), text_between=between)
        kinds[sample.dataset, sample.sample_id] = kind
    return kinds


def table_of(
    lines: Sequence[Line], kinds: dict[tuple[str, int], str], revision: str
) -> dict[str, Any]:
    """The file's contents; ValueError where no cell has questions enough.

    Two answers agree where every token of the whole cache's is the likeliest one.
    """
    rows: dict[tuple[str, int], list[Line]] = {}
    for line in lines:
        rows.setdefault((kinds[line.dataset, line.number], line.images), []).append(line)
    cells = [
        {
            "kind": kind,
            "images": images,
            "questions": len(found),
            "agreement": {
                f"{budget:g}": round(_agreeing(found, f"{LABEL}@{budget:g}"), 4)
                for budget in BUDGETS
            },
        }
        for (kind, images), found in sorted(rows.items())
        if len(found) >= LEAST_QUESTIONS
    ]
    if not cells:
        raise ValueError(f"no form of question was asked {LEAST_QUESTIONS} times: give more")
    knobs = WirePruning().model_dump(mode="json", exclude=AMOUNT)
    return {"format": 1, "revision": revision, "pruning": knobs, "cells": cells}


def _agreeing(lines: Sequence[Line], name: str) -> float:
    return sum(line.rows[name][2] == 1 for line in lines) / len(lines)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m bench.calibrate", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="folder of the weights")
    parser.add_argument("--out", type=Path, help=f"default: {FILE} beside the weights")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="stop in time, with what there is")
    parser.add_argument("--samples", type=int, default=20, help="per dataset and picture count")
    parser.add_argument("--images", type=int, nargs="*", default=[2, 4, 6, 8, 10, 12])
    parser.add_argument("--work", type=Path, default=Path("build/calibrate"))
    parser.add_argument("--fresh", action="store_true", help="measure anew")
    asked = parser.parse_args()
    if asked.fresh:
        shutil.rmtree(asked.work, ignore_errors=True)
    model = str(asked.checkpoint)
    plan = plan_of(model, asked.samples, asked.images)
    until = None if asked.minutes is None else time.time() + 60 * asked.minutes
    with crew(model, asked.jobs) as team:
        lines = team.run(plan, asked.work, until)
    table = table_of(lines, kinds_of(plan, asked.work), revision_of(asked.checkpoint))
    out = asked.out or asked.checkpoint / FILE
    out.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    print(f"{out}: {len(lines)} questions, {len(table['cells'])} cells")


if __name__ == "__main__":
    main()
