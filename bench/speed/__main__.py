"""`python -m bench.speed`: measures, prints a table, writes JSON and a plot.

Says on which machine, with how many threads, under what load.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from bench.speed import clock, figures
from bench.speed.contenders import Workload
from bench.speed.figures import Figure
from bench.speed.plot import bars
from bench.speed.subjects import Subject, middle, pocket
from bench.tables import table

SUBJECTS: dict[str, Callable[[], Subject]] = {"pocket": pocket, "middle": middle}


def main() -> None:
    """Measure one subject and write what came out."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=__doc__)
    parser.add_argument("--subject", choices=[*SUBJECTS], default="pocket")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=["cpu", "wall"], default="wall")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--asks", type=int, default=16)
    parser.add_argument("--only", nargs="*", help="parts of figures' names")
    parser.add_argument("--out", type=Path, default=Path("build/speed"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    clock.choose(asked.clock)
    subject = SUBJECTS[asked.subject]()
    measured: list[Figure] = []
    for name, measure in plan(subject, asked.rounds, asked.asks).items():
        if not asked.only or any(part in name for part in asked.only):
            measured += measure()
            print(f"{name}: {[round(figure.value, 3) for figure in measured[-3:]]}", flush=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    told = {
        "subject": subject.name,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": asked.threads,
        "clock": asked.clock,
        "load_at_end": os.getloadavg()[0],
        "torch": torch.__version__,
        "figures": [asdict(figure) for figure in measured],
    }
    (asked.out / f"{subject.name}.json").write_text(json.dumps(told, indent=1) + "\n")
    rows = [
        [one.name, f"{one.value:.3g}", one.goal, {None: "-", True: "yes", False: "no"}[one.met]]
        for one in measured
    ]
    text = table([f"{subject.name}, {asked.threads} threads", "measured", "goal", "met"], rows)
    (asked.out / f"{subject.name}.md").write_text(text)
    bars({one.name: one.value for one in measured}).save(asked.out / f"{subject.name}.png")
    print(text)


def plan(subject: Subject, rounds: int, asks: int) -> dict[str, Callable[[], list[Figure]]]:
    """What is measured, in order."""
    long = Workload("", asks, 8, 32)
    return {
        "capacity": lambda: [figures.capacity(subject, long)],
        "second": lambda: [
            figures.second_question(subject, 8, rounds, reuse) for reuse in ("exact", "compressed")
        ],
        "step-16": lambda: figures.decode_step(subject, asks, 4, 20),
        "step-1": lambda: figures.decode_step(subject, 1, 8, 20),
        "gap": lambda: [figures.longest_gap(subject, 16)],
        "scoring": lambda: [figures.scoring_share(subject, 14, rounds)],
        "prefill-heavy": lambda: figures.throughput(
            subject, Workload("prefill-heavy", asks, 8, 8), rounds
        ),
        "decode-heavy": lambda: figures.throughput(
            subject, Workload("decode-heavy", asks, 4, 128), rounds
        ),
    }


if __name__ == "__main__":
    main()
