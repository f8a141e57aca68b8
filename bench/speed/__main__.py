"""`python -m bench.speed`: measures, prints a table, writes JSON and a plot.

Says on which machine, with how many threads, under what load. Ends within about `--minutes`: what
is not begun by then is left out and named. `--rival PYTHON` adds kvpress from that environment.
"""

import argparse
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from bench.speed import clock, figures
from bench.speed.clock import Patience
from bench.speed.contenders import Workload
from bench.speed.figures import Figure
from bench.speed.plot import bars
from bench.speed.rivalry import against_kvpress, has_kvpress
from bench.speed.subjects import Subject, middle, pocket
from bench.tables import table

SUBJECTS: dict[str, Callable[[], Subject]] = {"pocket": pocket, "middle": middle}
MET = {None: "-", True: "yes", False: "no"}


def main() -> None:
    """Measure the subjects and write what came out."""
    parser = argparse.ArgumentParser(prog="python -m bench.speed", description=__doc__)
    parser.add_argument("--subject", nargs="*", choices=[*SUBJECTS], default=[*SUBJECTS])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--clock", choices=["cpu", "wall"], default="wall")
    parser.add_argument("--minutes", type=float, default=40, help="wall time of all, about")
    parser.add_argument("--rounds", type=int, help="default: by subject")
    parser.add_argument("--asks", type=int, help="default: by subject")
    parser.add_argument("--only", nargs="*", help="parts of measurements' names")
    parser.add_argument("--rival", type=Path, help="a Python that has kvpress; pocket only")
    parser.add_argument("--out", type=Path, default=Path("build/speed"))
    asked = parser.parse_args()
    if asked.rival is not None and not has_kvpress(asked.rival):
        parser.error(f"--rival {asked.rival}: not a Python that can import kvpress")
    torch.set_num_threads(asked.threads)
    clock.choose(asked.clock)
    asked.out.mkdir(parents=True, exist_ok=True)
    columns: dict[str, list[Figure]] = {}
    patience = Patience(asked.minutes)
    for number, name in enumerate(asked.subject, start=1):
        # What one subject leaves of its share is the next one's.
        share = asked.minutes * number / len(asked.subject)
        columns[name] = _measured(name, asked, patience.until(share))
    print(_side_by_side(columns))
    (asked.out / "speed.md").write_text(_side_by_side(columns))


def _measured(name: str, asked: argparse.Namespace, patience: Patience) -> list[Figure]:
    """All figures of one subject, written to its own files."""
    subject = SUBJECTS[name]()
    scale = subject.scale
    asks = asked.asks or scale.asks
    heavy_asks = asked.asks or scale.heavy_asks
    scale = replace(scale, asks=asks, heavy_asks=heavy_asks, rounds=asked.rounds or scale.rounds)
    subject = replace(subject, scale=scale)
    measured: list[Figure] = []
    left_out: list[str] = []
    for part, measure in plan(subject, patience, asked.rival).items():
        if asked.only and not any(one in part for one in asked.only):
            continue
        if patience.is_over:
            left_out.append(part)
            continue
        figures = measure()
        measured += figures
        print(f"{name}, {part}: {[round(one.value, 3) for one in figures]}", flush=True)
        _write(subject, asked, measured, left_out)
    if left_out:
        print(f"{name}: no time for {', '.join(left_out)} (--minutes)", flush=True)
    _write(subject, asked, measured, left_out)
    return measured


def _write(
    subject: Subject, asked: argparse.Namespace, measured: list[Figure], left_out: list[str]
) -> None:
    """What is known so far: JSON, a table and a plot."""
    name = subject.name
    told = {
        "subject": name,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "threads": asked.threads,
        "clock": asked.clock,
        "load_at_end": os.getloadavg()[0],
        "torch": torch.__version__,
        "left_out": left_out,
        "figures": [asdict(figure) for figure in measured],
    }
    (asked.out / f"{name}.json").write_text(json.dumps(told, indent=1) + "\n")
    rows = [[one.name, one.sizes, f"{one.value:.3g}", one.goal, MET[one.met]] for one in measured]
    head = [f"{name}, {asked.threads} threads, {asked.clock}", "on", "measured", "goal", "met"]
    (asked.out / f"{name}.md").write_text(table(head, rows))
    bars({one.name: one.value for one in measured}).save(asked.out / f"{name}.png")


def _side_by_side(columns: dict[str, list[Figure]]) -> str:
    """One row per figure, one column per subject."""
    goals = {one.name: one.goal for figures in columns.values() for one in figures}
    found = {name: {one.name: one for one in figures} for name, figures in columns.items()}

    def cell(one: Figure | None) -> str:
        return "-" if one is None else f"{one.value:.3g} ({one.sizes})"

    rows = [[name, *(cell(own.get(name)) for own in found.values()), goals[name]] for name in goals]
    return table(["", *columns, "goal"], rows)


def plan(
    subject: Subject, patience: Patience, rival: Path | None = None
) -> dict[str, Callable[[], list[Figure]]]:
    """What is measured, in order."""
    scale = subject.scale
    decode_heavy = Workload("decode-heavy", scale.asks, 4, 128)
    prefill_heavy = Workload("prefill-heavy", scale.heavy_asks, 8, 8)

    def rounds() -> Any:  # noqa: ANN401 - an iterator is used up by one figure
        return patience.rounds(scale.rounds)

    made: dict[str, Callable[[], list[Figure]]] = {
        "capacity": lambda: [figures.capacity(subject, Workload("", scale.asks, 8, 32))],
        "step-many": lambda: figures.decode_step(subject, scale.rows, 4, scale.steps),
        "step-one": lambda: figures.decode_step(subject, 1, scale.pictures, scale.steps),
        "decode-heavy": lambda: figures.throughput(subject, decode_heavy, rounds()),
        "second": lambda: [
            figures.second_question(subject, scale.pictures, rounds(), reuse)
            for reuse in ("exact", "compressed")
        ],
        "scoring": lambda: [figures.scoring_share(subject, scale.long, rounds())],
        "gap": lambda: [figures.longest_gap(subject, scale.long)],
        "prefill-heavy": lambda: figures.throughput(subject, prefill_heavy, rounds()),
    }
    if rival is not None and subject.name == "pocket":
        made["kvpress"] = lambda: against_kvpress(subject, decode_heavy, rounds(), rival)
    return made


if __name__ == "__main__":
    main()
