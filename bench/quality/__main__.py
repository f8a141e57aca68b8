"""`python -m bench.quality`: measure pruning on the pocket, write docs/quality.md and its JSON.

`--policies` measures and writes README's table alone. `--reduced` runs a small part, and with
`--check` fails where the default policy at budget .2 has dropped more than two points below what
is recorded. `--minutes` ends in time with fewer questions and larger errors; run again to go on.
"""

import argparse
import json
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from bench.milebench.samples import load as load_samples
from bench.quality import readme
from bench.quality.captions import caption_table
from bench.quality.lines import Line
from bench.quality.measuring import Plan, draw_samples
from bench.quality.pages import write_pages
from bench.quality.plots import slug
from bench.quality.profile import profile
from bench.quality.recorded import check, means
from bench.quality.runs import (
    READING,
    Crew,
    crew,
    main_plan,
    reduced_plan,
    rest_plan,
    surface_plan,
    table_plan,
)
from bench.quality.summary import MARGIN, summarise
from myopia.loading import load
from myopia.revision import revision_of
from pocket import weights_folder

# Shares of the time when it is bounded, in the order of the stages. The reduced run, captions and
# profiles are small and always whole.
TABLE_UNTIL, SURFACE_UNTIL, REST_UNTIL, LEAST_SHARE = 0.45, 0.55, 0.75, 0.05


class Stages:
    """Every measurement of one checkpoint, within one stretch of time."""

    def __init__(self, asked: argparse.Namespace, team: Crew) -> None:
        self._asked, self._team = asked, team
        self._begun = time.time()
        self._images = tuple(asked.images)

    def reduced(self) -> list[Line]:
        """What CI compares with."""
        self._say("reduced run")
        return self._team.run(reduced_plan(), self._asked.out / "reduced")

    def table(self, share: float = 1.0) -> dict[str, Any]:
        """README's table, and the goals."""
        self._say("README's table and the goals")
        plan = table_plan(self._asked.model, self._asked.questions // 2, self._images)
        lines = self._team.run(plan, self._asked.out / "table", self._until(share))
        return summarise(lines, self._asked.margin, plan.datasets) | {"questions": _count(lines)}

    def surface(self) -> dict[str, Any]:
        """Gamma, alpha, forms of the subsidy."""
        self._say("surfaces")
        plan = surface_plan(self._asked.samples, self._images)
        folder = self._asked.out / "surface"
        lines = self._team.run(plan, folder, self._until(SURFACE_UNTIL))
        return summarise(lines, self._asked.margin)

    def main(self) -> dict[str, Any]:
        """All policies on all datasets."""
        self._say("all policies on all datasets")
        plan = main_plan(self._asked.model, self._asked.samples, self._images)
        rest = rest_plan(self._asked.model, self._images)
        lines = (
            self._team.run(rest, self._asked.out / "rest", self._until(REST_UNTIL)) if rest else []
        )
        lines += self._team.run(plan, self._asked.out / "main", self._until(1.0))
        return summarise(lines, self._asked.margin, plan.datasets) | {"questions": _count(lines)}

    def alone(self) -> dict[str, Any]:
        """Captions and Figure A2, which run in one process beside nothing else."""
        self._say("captions and profiles")
        torch.set_num_threads(1)
        checkpoint = load(self._asked.model, device="cpu")
        shown = Plan(READING, self._images[-1:], 4, (), seed=5)
        draw_samples(shown, self._asked.out / "profile")
        samples = [s for name in READING for s in load_samples(self._asked.out / "profile" / name)]
        return {
            "revision": checkpoint.revision,
            "captions": caption_table(checkpoint, self._asked.captions),
            "profile": profile(checkpoint, samples),
        }

    def _say(self, stage: str) -> None:
        print(f"{(time.time() - self._begun) / 60:.1f} min: {stage}", file=sys.stderr, flush=True)

    def _until(self, share: float) -> float | None:
        minutes: float | None = self._asked.minutes
        if minutes is None:
            return None
        # A stage that comes late still gets a little, so that its tables are not empty.
        return max(self._begun + 60 * minutes * share, time.time() + 60 * minutes * LEAST_SHARE)


def full_run(asked: argparse.Namespace) -> None:
    """Everything the page needs, README's table, and what CI compares with."""
    begun = time.time()
    with crew(asked.model, asked.jobs) as team:
        stages = Stages(asked, team)
        reduced = stages.reduced()
        # Beside the pool's processes, since it has one part only; without a pool, before the rest.
        with ThreadPoolExecutor(1) as beside:
            alone = beside.submit(stages.alone)
            if team.pool is None:
                alone.result()
            results: dict[str, Any] = {"table": stages.table(TABLE_UNTIL)}
            results |= alone.result()
        results |= {"surface": stages.surface()}
        results |= {"main": stages.main(), "reduced": means(reduced, asked.margin)}
    results["card"] = {
        "revision": results.pop("revision"),
        "images": " or ".join(str(count) for count in asked.images),
        "questions": results["main"]["questions"],
        "table questions": results["table"]["questions"],
        "minutes": round((time.time() - begun) / 60, 1),
        "processes": asked.jobs,
    }
    asked.docs.mkdir(parents=True, exist_ok=True)
    record = asked.docs / "quality.json"
    _write(record, results)
    write_pages(results, asked.docs.parent / "quality.md", asked.docs)
    readme.write(results["table"], asked.readme)


def policies_run(asked: argparse.Namespace) -> None:
    """README's table alone, with its numbers beside the page's."""
    with crew(asked.model, asked.jobs) as team:
        table = Stages(asked, team).table()
    asked.docs.mkdir(parents=True, exist_ok=True)
    record = asked.docs / "policies.json"
    _write(record, table)
    readme.write(table, asked.readme)


def reduced_run(asked: argparse.Namespace) -> None:
    """Measure the small part, always anew; fail where it dropped below the record."""
    shutil.rmtree(asked.out / "reduced", ignore_errors=True)
    with crew(asked.model, asked.jobs) as team:
        lines = Stages(asked, team).reduced()
    if asked.check:
        dropped = check(lines, asked.check)
        if dropped:
            raise SystemExit("\n".join(dropped))
    else:
        print(json.dumps(means(lines, asked.margin), indent=1))


def _write(path: Path, results: dict[str, Any]) -> None:
    text = json.dumps(results, separators=(",", ":"), sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")


def _count(lines: list[Line]) -> int:
    return len({(line.dataset, line.number) for line in lines})


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.quality", description=__doc__)
    parser.add_argument("--model", default=str(weights_folder()))
    parser.add_argument("--out", type=Path, default=Path("build/quality"))
    parser.add_argument("--docs", type=Path, default=Path("docs/quality"))
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="end in about so many minutes; resumable")
    parser.add_argument("--samples", type=int, default=12, help="per dataset and picture count")
    parser.add_argument("--questions", type=int, default=200, help="per task of README's table")
    parser.add_argument("--images", type=int, nargs=2, default=[4, 8])
    parser.add_argument("--margin", type=float, default=MARGIN, help="what makes a dataset count")
    parser.add_argument("--captions", type=int, default=60)
    parser.add_argument("--policies", action="store_true", help="README's table alone")
    parser.add_argument("--reduced", action="store_true")
    parser.add_argument("--check", type=Path, help="recorded quality.json to compare with")
    parser.add_argument("--fresh", action="store_true", help="do not go on with an earlier run")
    asked = parser.parse_args()
    folder = Path(asked.model)
    asked.out /= revision_of(folder) if folder.is_dir() else slug(asked.model)
    if asked.fresh:
        shutil.rmtree(asked.out, ignore_errors=True)
    run = reduced_run if asked.reduced else policies_run if asked.policies else full_run
    run(asked)


if __name__ == "__main__":
    main()
