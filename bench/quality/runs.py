"""The plans of the quality page, and running one in several processes.

Knows plans and processes; no table and no page.
"""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from bench.pocketbench.writing import DRAWN
from bench.quality import grid
from bench.quality.measuring import Line, Plan, draw_samples, measure
from myopia.loading import load

# Datasets of one-picture evidence, for the surfaces: the ones a reader of pictures can answer.
READING = (
    "GPR1200",
    "MovingAttribute",
    "ObjectInteraction",
    "OCR-VQA",
    "SlideVQA",
    "ImageNeedleInAHaystack",
)


def main_plan(samples: int, images: tuple[int, ...]) -> Plan:
    """All policies, Table A1 and the bins, on all datasets under all protocols."""
    variants = (*grid.policies(), *grid.head_modes(), *grid.bins(), *grid.candidates())
    return Plan(tuple(DRAWN), images, samples, variants, probes=tuple(grid.probes()))


def surface_plan(samples: int, images: tuple[int, ...]) -> Plan:
    """Gamma, alpha and forms of the subsidy, where they can matter."""
    variants = (*grid.surface(), *grid.subsidies())
    return Plan(READING, images[-1:], samples, variants, ("question", "blind"))


def reduced_plan() -> Plan:
    """Minutes, not an hour: every policy at .2 on the reading datasets."""
    return Plan(READING, (6,), 12, tuple(grid.reduced()), ("question", "blind"), seed=2)


def work(model: str, plan: Plan, folder: Path, part: int, parts: int) -> None:
    """One process's part; one thread each, since small tensors wait for threads."""
    torch.set_num_threads(1)
    measure(load(model, device="cpu"), plan, folder, part=part, parts=parts)


def run(model: str, plan: Plan, folder: Path, jobs: int) -> list[Line]:
    """Measure a plan with `jobs` processes; returns every line."""
    draw_samples(plan, folder / "drawn")
    if jobs > 1:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context) as pool:
            tasks = [pool.submit(work, model, plan, folder, k, jobs) for k in range(jobs)]
            for task in tasks:
                task.result()
    return measure(load(model, device="cpu"), plan, folder)
