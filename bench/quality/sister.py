"""`python -m bench.quality.sister`: whether pruning is easy only where attention was supervised.

The pocket's training shows attention the evidence for a while. Its sister has the same eyes,
pictures and questions of the same kinds, and never any loss on where to look. Both answer the same
questions with the same prunings; what comes out stands on the pocket's card (`pocket/sister.json`).
"""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.quality import grid
from bench.quality.lines import Line
from bench.quality.measuring import Plan
from bench.quality.offered import offered_datasets
from bench.quality.protocols import Protocol
from bench.quality.readme import column
from bench.quality.runs import crew
from bench.quality.summary import LEAST_FULL, grouped, informative, overall
from myopia.params import Pruning
from myopia.revision import revision_of
from pocket import weights_folder
from pocket.render import render
from pocket.sister import FILE, folder

BUDGETS = (0.2, 0.1, 0.05)
POLICIES = ("myopia", "snapkv", "h2o", "random")
PROTOCOLS: tuple[Protocol, ...] = ("question", "blind")
LEAST_SISTER = 0.5  # of a dataset that the sister answers: she has learnt less
SEED = 9


def plan_of(model: str, samples: int) -> Plan:
    """The same questions for both: what the pocket's card offers."""
    variants = [v for name in POLICIES for v in grid.at(name, Pruning(policy=name), BUDGETS)]
    datasets = offered_datasets(model)
    return Plan(datasets, (4, 8), samples, tuple(variants), PROTOCOLS, seed=SEED)


def compared(pocket: Sequence[Line], sister: Sequence[Line]) -> dict[str, Any]:
    """What the card shows: per protocol both models' losses, and accuracies by task.

    Only questions that both have answered, of datasets that both can do. Raises ValueError where
    there is none.
    """
    sides = _shared(pocket, sister)
    telling = set(informative(sides["pocket"], least=LEAST_FULL))
    telling &= set(informative(sides["sister"], least=LEAST_SISTER))
    if not telling:
        raise ValueError("there is no task that both the pocket and its sister can do")
    asked = sum(line.dataset in telling for line in sides["pocket"]) // len(PROTOCOLS)
    found: dict[str, Any] = {"questions": asked, "protocols": {}}
    for protocol in PROTOCOLS:
        mine = {
            side: [x for x in lines if x.protocol == protocol and x.dataset in telling]
            for side, lines in sides.items()
        }
        tasks: dict[str, dict[str, dict[str, list[float]]]] = {}
        for side, lines in mine.items():
            for variant, cells in grouped(lines, lambda line: column(line.dataset)).items():
                for task, cell in cells.items():
                    tasks.setdefault(task, {}).setdefault(variant, {})[side] = cell
        found["protocols"][protocol] = {
            "overall": {side: overall(lines) for side, lines in mine.items()},
            "tasks": tasks,
        }
    return found


def _shared(pocket: Sequence[Line], sister: Sequence[Line]) -> dict[str, list[Line]]:
    sides = {"pocket": pocket, "sister": sister}
    keys = [{(x.dataset, x.number, x.protocol) for x in lines} for lines in sides.values()]
    both = keys[0] & keys[1]
    return {
        side: [x for x in lines if (x.dataset, x.number, x.protocol) in both]
        for side, lines in sides.items()
    }


def main() -> None:
    """Measure both, write the comparison and the card's page."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality.sister", description=__doc__)
    parser.add_argument("--sister", type=Path, default=folder())
    parser.add_argument("--out", type=Path, default=Path("build/sister"))
    parser.add_argument("--samples", type=int, default=40, help="per dataset and picture count")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="end in about so many; resumable")
    parser.add_argument("--fresh", action="store_true", help="do not go on with an earlier run")
    asked = parser.parse_args()
    if asked.fresh:
        shutil.rmtree(asked.out, ignore_errors=True)
    pocket = weights_folder()
    plan = plan_of(str(pocket), asked.samples)
    lines = []
    for model in (pocket, asked.sister):
        until = None if asked.minutes is None else time.time() + 30 * asked.minutes
        with crew(str(model), asked.jobs) as team:
            lines.append(team.run(plan, asked.out / revision_of(model), until))
    record = {
        "pocket": revision_of(pocket),
        "sister": revision_of(asked.sister),
        "training": json.loads((asked.sister / "training.json").read_text(encoding="utf-8")),
        **compared(*lines),
    }
    FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    card = json.loads((pocket / "card.json").read_text(encoding="utf-8"))
    (pocket / "README.md").write_text(render(card, record), encoding="utf-8")


if __name__ == "__main__":
    main()
