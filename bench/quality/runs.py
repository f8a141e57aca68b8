"""The plans of the quality page, and running one in several processes, until a given moment.

Knows plans and processes; no table and no page.
"""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.pocketbench.writing import DRAWN
from bench.quality import grid
from bench.quality.lines import Line, read_lines
from bench.quality.measuring import Plan, draw_samples, measure
from bench.quality.offered import offered_datasets
from myopia.loading import load
from pocket.pool import open_pool

# Datasets of one-picture evidence, for the surfaces: the ones a reader of pictures can answer.
READING = (
    "GPR1200",
    "MovingAttribute",
    "ObjectInteraction",
    "OCR-VQA",
    "SlideVQA",
    "ImageNeedleInAHaystack",
)
# What the checkpoint's card does not promise is measured on so many questions a cell: enough to
# see that it cannot be done, too few to waste the time of what can.
FEW = 3


def table_plan(model: str, samples: int, images: tuple[int, ...]) -> Plan:
    """README's table: every policy at .1, the default also at .2 and .05; what the card offers."""
    return Plan(
        offered_datasets(model),
        images,
        samples,
        tuple(grid.table()),
        ("question", "blind"),
        seed=3,
    )


def main_plan(model: str, samples: int, images: tuple[int, ...]) -> Plan:
    """All policies, Table A1 and the bins, under all protocols, on what the card offers."""
    variants = (
        *grid.policies(),
        *grid.rivals(),
        *grid.sharing(),
        *grid.head_modes(),
        *grid.bins(),
    )
    return Plan(
        offered_datasets(model), images, samples, variants, probes=tuple(grid.probes((0.2, 0.1)))
    )


def rest_plan(model: str, images: tuple[int, ...]) -> Plan | None:
    """The other datasets, so that every task code has a row; None where nothing is left."""
    offered = offered_datasets(model)
    others = tuple(name for name in DRAWN if name not in offered)
    return Plan(others, images, FEW, main_plan(model, FEW, images).variants) if others else None


def surface_plan(samples: int, images: tuple[int, ...]) -> Plan:
    """Gamma, alpha and forms of the subsidy, where they can matter."""
    variants = (*grid.surface(), *grid.subsidies(), *grid.rods())
    return Plan(READING, images[-1:], samples, variants, ("question", "blind"))


def reduced_plan() -> Plan:
    """A minute on two cores: the default and its measuring rods at .2 and .1."""
    return Plan(READING, (6,), 20, tuple(grid.reduced()), ("question", "blind"), seed=2)


@dataclass(frozen=True, slots=True)
class Crew:
    """Processes that measure one checkpoint; made once, since loading costs seconds each."""

    model: str
    jobs: int
    pool: Executor | None

    def run(self, plan: Plan, folder: Path, until: float | None = None) -> list[Line]:
        """Measure a plan, until the unix second `until` at most; every line that is there."""
        if self.pool is None:
            return measure(load(self.model, device="cpu"), plan, folder, until=until)
        names = [(plan, (name,)) for name in plan.datasets]
        for task in [self.pool.submit(_draw, *one, folder / "drawn") for one in names]:
            task.result()
        parts = [(number, self.jobs) for number in range(self.jobs)]
        for task in [
            self.pool.submit(_work, self.model, plan, folder, part, until) for part in parts
        ]:
            task.result()
        return read_lines(folder)


@contextmanager
def crew(model: str, jobs: int) -> Iterator[Crew]:
    """Start `jobs` processes; with one job, work here."""
    if jobs <= 1:
        yield Crew(model, 1, None)
        return
    with open_pool(jobs) as pool:
        yield Crew(model, jobs, pool)


def _draw(plan: Plan, datasets: Sequence[str], root: Path) -> None:
    draw_samples(plan, root, datasets)


def _work(model: str, plan: Plan, folder: Path, part: tuple[int, int], until: float | None) -> None:
    """One process's part; one thread each, since small tensors wait for threads."""
    torch.set_num_threads(1)
    if until is None or time.time() < until:
        measure(load(model, device="cpu"), plan, folder, part=part, until=until)
