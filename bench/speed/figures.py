"""The figures that are measured: each a function of a subject, each ratio interleaved.

A ratio is the median over rounds of ratios taken within one round, minutes apart at most, so that
other load on the machine weighs on both sides.
"""

import statistics
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from bench.speed.clock import now
from bench.speed.contenders import Workload, by_engine, by_stock, make_engine, requests
from bench.speed.subjects import Subject
from myopia.engine import Engine
from myopia.intake import cells_of, row_of
from myopia.params import Picture, Pruning, Request
from myopia.tiles import TilesUsed


@dataclass(slots=True)
class Figure:
    """One measured number, its goal, and what it was made of."""

    name: str
    value: float
    goal: str
    met: bool | None
    parts: dict[str, Any] = field(default_factory=dict)


def throughput(subject: Subject, work: Workload, rounds: int) -> list[Figure]:
    """Answers per second against stock `generate()`, one by one and in a static batch."""
    engine = make_engine(subject)
    seconds: dict[str, list[float]] = {}
    by_engine(engine, requests(subject, work, 9999)[:1], 0.2)  # warm
    for number in range(rounds):
        asks = requests(subject, work, number)
        taken = {
            "sequential": by_stock(subject, asks, together=False),
            "engine 0.2": by_engine(engine, asks, 0.2),
            "static": by_stock(subject, asks, together=True),
            "engine 1.0": by_engine(engine, asks, 1.0),
        }
        for name, value in taken.items():
            seconds.setdefault(name, []).append(value)
    rates = {name: work.asks / statistics.median(values) for name, values in seconds.items()}
    heavy = work.tokens >= 64
    return [
        _ratio(f"{work.name}: answers/s over {rival}", seconds[rival], seconds["engine 0.2"], goal)
        for rival, goal in (
            ("sequential", 4.0 if heavy else None),
            ("static", 1.3 if heavy else None),
            ("engine 1.0", None),
        )
    ] + [Figure(f"{work.name}: answers/s", rates["engine 0.2"], "-", None, rates)]


def decode_step(subject: Subject, rows: int, pictures: int, steps: int) -> list[Figure]:
    """One decode step at budget .2 against 1, and the part of the roofline's ratio it reaches."""
    work = Workload("decode", rows, pictures, 2 * steps + 8)
    engines = {budget: make_engine(subject, prefix_bytes=2**31) for budget in (1.0, 0.2)}
    for budget, engine in engines.items():
        pruning = Pruning(policy="full" if budget >= 1 else "myopia", budget=budget)
        (ask,) = requests(subject, Workload("", 1, pictures, work.tokens), 1, pruning=pruning)
        for number in range(rows):  # one image set for all: what is measured comes after reading
            engine.add(replace(ask, ask_id=f"ask_{number}", reuse="exact"))
        while engine.stats().running < rows:
            engine.step()
    taken: dict[float, list[float]] = {1.0: [], 0.2: []}
    for _ in range(steps):
        for budget, engine in engines.items():
            began = now()
            engine.step()
            taken[budget].append(now() - began)
    held = {budget: subject.weight_bytes + kv_bytes(engine) for budget, engine in engines.items()}
    allowed = held[1.0] / held[0.2]
    speedup = statistics.median(a / b for a, b in zip(taken[1.0], taken[0.2], strict=True))
    bandwidth = read_bandwidth()
    parts = {
        "ms": {str(budget): statistics.median(times) * 1e3 for budget, times in taken.items()},
        "bytes": {str(budget): size for budget, size in held.items()},
        "roofline_ms": {str(b): size / bandwidth * 1e3 for b, size in held.items()},
        "bandwidth_gb_per_s": bandwidth / 1e9,
        "roofline_ratio": allowed,
    }
    share = speedup / allowed
    name = f"decode step, {rows} rows of {pictures} pictures"
    return [
        Figure(f"{name}: .2 over 1.0", speedup, "-", None, parts),
        Figure(f"{name}: share of the roofline's ratio", share, ">= 0.85", share >= 0.85, parts),
    ]


def kv_bytes(engine: Engine) -> int:
    """Bytes of keys and values that the next step of all running rows reads."""
    places = engine.slots.places.values()
    return sum(sum(place.filled) for place in places) * engine.slots.cell_bytes


def read_bandwidth() -> float:
    """Bytes per second of summing a tensor larger than any cache; the best of five."""
    block = torch.ones(64 * 2**20)
    best = 0.0
    for _ in range(5):
        began = now()
        block.sum()
        best = max(best, block.numel() * 4 / (now() - began))
    return best


def capacity(subject: Subject, work: Workload) -> Figure:
    """How many more asks fit into the same slots at budget .2: cells of either, by the engine."""
    cells = {}
    for budget in (1.0, 0.2):
        (ask,) = requests(subject, Workload("", 1, work.pictures, work.tokens), 1)
        pruned = requests(
            subject, Workload("", 1, work.pictures, work.tokens), 1, pruning=Pruning(budget=budget)
        )[0]
        assert ask.turns[0].parts[-1] == pruned.turns[0].parts[-1]
        cells[budget] = cells_of(subject.checkpoint, row_of(subject.checkpoint, pruned))
    ratio = cells[1.0] / cells[0.2]
    name = f"asks that fit, {work.pictures} pictures and {work.tokens} tokens"
    parts = {"cells": {str(budget): count for budget, count in cells.items()}}
    return Figure(name, ratio, ">= 4.5", ratio >= 4.5, parts)


def second_question(subject: Subject, pictures: int, rounds: int, reuse: str) -> Figure:
    """Time to first token of another question on the same pictures, over the first one's."""
    engine = make_engine(subject, feature_bytes=2**28, prefix_bytes=2**30)
    firsts: list[float] = []
    seconds: list[float] = []
    work = Workload("", 1, pictures, 1)
    for number in range(rounds + 1):
        for times in (firsts, seconds):
            (ask,) = requests(subject, work, 500 + number, reuse=reuse)
            times.append(_answered(engine, ask))
    name = f"first token, second question over first ({reuse}, {pictures} pictures)"
    return _ratio(name, seconds[1:], firsts[1:], 0.25, below=True)


def scoring_share(subject: Subject, pictures: int, rounds: int) -> Figure:
    """Part of reading a prompt that goes into scores and pruning."""
    engine = make_engine(subject, feature_bytes=2**30)  # looking at pictures is not measured
    tiles: TilesUsed = "base" if subject.tiles == "base" else "max"
    spent: dict[float, list[float]] = {1.0: [], 0.2: []}
    prompt_tokens = 0
    for number in range(rounds):
        for budget, times in spent.items():
            policy = "full" if budget >= 1 else "myopia"
            (ask,) = requests(
                subject,
                Workload("", 1, pictures, 1),
                700 + number,
                pruning=Pruning(policy=policy, budget=budget),
            )
            engine.vision.look([p for p in ask.turns[0].parts if isinstance(p, Picture)], tiles)
            times.append(_answered(engine, ask) * 1e3)
            prompt_tokens = row_of(subject.checkpoint, ask).usage.prompt_tokens
    share = 1 - 1 / statistics.median(b / a for a, b in zip(spent[1.0], spent[0.2], strict=True))
    parts = {"ms": {str(budget): times for budget, times in spent.items()}}
    name = f"scoring's share of prefill at {prompt_tokens} tokens"
    return Figure(name, share, "<= 0.08", share <= 0.08, parts)


def _answered(engine: Engine, ask: Request) -> float:
    """Seconds from adding an ask of one token to its ending."""
    began = now()
    engine.add(ask)
    while engine.has_work:
        engine.step()
    return now() - began


def longest_gap(subject: Subject, pictures: int) -> Figure:
    """Longest pause between two tokens of a running row while a large ask is read."""
    engine = make_engine(subject, piece_tokens=256)
    engine.add(requests(subject, Workload("", 1, 1, 2000), 1)[0])
    while engine.stats().running == 0:
        engine.step()
    big = requests(subject, Workload("", 1, pictures, 2), 2)[0]
    engine.add(big.__class__("ask_big", big.turns, sampling=big.sampling, tiles=big.tiles))
    gaps, last = [], now()
    while engine.stats().waiting or engine.stats().reading:
        engine.step()
        gaps.append(now() - last)
        last = now()
    bound = engine.config.gap_seconds
    parts = {"bound_seconds": bound, "steps": len(gaps), "median": statistics.median(gaps)}
    name = f"longest gap while {pictures} pictures are read, seconds"
    return Figure(name, max(gaps), f"bound {bound} + one piece", None, parts)


def _ratio(
    name: str, above: list[float], under: list[float], goal: float | None, *, below: bool = False
) -> Figure:
    ratios = [a / b for a, b in zip(above, under, strict=True)]
    value = statistics.median(ratios)
    if goal is None:
        return Figure(name, value, "-", None, {"ratios": ratios})
    met = value <= goal if below else value >= goal
    return Figure(name, value, f"{'<=' if below else '>='} {goal}", met, {"ratios": ratios})
