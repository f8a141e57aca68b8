"""The figures that are measured: each a function of a subject, each ratio interleaved.

A ratio is the median over rounds of ratios taken within one round, minutes apart at most, so that
other load on the machine weighs on both sides.
"""

import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.nn.functional import linear

from bench.speed.clock import now
from bench.speed.contenders import Workload, by_engine, by_stock, make_engine, requests
from bench.speed.subjects import Subject
from myopia.engine import Engine
from myopia.intake import cells_of, row_of
from myopia.params import Picture, Pruning, Request
from myopia.tiles import TilesUsed


@dataclass(slots=True)
class Figure:
    """One measured number, its goal, what it was made of, and on how much it was measured."""

    name: str
    value: float
    goal: str
    met: bool | None
    parts: dict[str, Any] = field(default_factory=dict)
    sizes: str = ""


def throughput(subject: Subject, work: Workload, rounds: Iterable[int]) -> list[Figure]:
    """Answers per second against stock `generate()`, one by one and in a static batch."""
    engine = make_engine(subject)
    seconds: dict[str, list[float]] = {}
    by_engine(engine, requests(subject, work, 9999)[:1], 0.2)  # warm
    for number in rounds:
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
    sizes = f"{work.asks} asks, {work.pictures} pictures, {work.tokens} tokens"
    figures = [
        ratio(f"{work.name}: answers/s over {rival}", seconds[rival], seconds["engine 0.2"], goal)
        for rival, goal in (
            ("sequential", 4.0 if heavy else None),
            ("static", 1.3 if heavy else None),
            ("engine 1.0", None),
        )
    ] + [Figure(f"{work.name}: answers/s", rates["engine 0.2"], "-", None, rates)]
    return [replace(figure, sizes=sizes) for figure in figures]


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
    # Weights are multiplied, not only read: with more than a few rows that takes longer.
    products = products_seconds(subject, rows)
    floor = {b: products + kv_bytes(engine) / bandwidth for b, engine in engines.items()}
    reached = statistics.median(taken[1.0]), statistics.median(taken[0.2])
    parts = {
        "ms": {str(budget): statistics.median(times) * 1e3 for budget, times in taken.items()},
        "bytes": {str(budget): size for budget, size in held.items()},
        "roofline_ms": {str(b): size / bandwidth * 1e3 for b, size in held.items()},
        "bandwidth_gb_per_s": bandwidth / 1e9,
        "roofline_ratio": allowed,
        "products_ms": products * 1e3,
        "floor_ms": {str(b): seconds * 1e3 for b, seconds in floor.items()},
        "floor_ratio": floor[1.0] / floor[0.2],
    }
    share = speedup / allowed
    name = "decode step, one row" if rows == 1 else "decode step"
    figures = [
        Figure(f"{name}: .2 over 1.0", speedup, "-", None, parts),
        Figure(f"{name}: share of the ratio of bytes", share, ">= 0.85", share >= 0.85, parts),
        Figure(
            f"{name}: share of the ratio of bytes and products",
            speedup * floor[0.2] / floor[1.0],
            "-",
            None,
            parts,
        ),
        Figure(f"{name}: time over bytes and products at .2", reached[1] / floor[0.2], "-", None),
    ]
    return [replace(one, sizes=f"{rows} rows, {pictures} pictures") for one in figures]


def kv_bytes(engine: Engine) -> int:
    """Bytes of keys and values that the next step of all running rows reads."""
    places = engine.slots.places.values()
    return sum(sum(place.filled) for place in places) * engine.slots.cell_bytes


def products_seconds(subject: Subject, rows: int) -> float:
    """Seconds of one step's products alone, `rows` vectors by every weight; the median of nine."""
    text = subject.stock.model.language_model
    weights = [one.weight for one in text.layers.modules() if isinstance(one, torch.nn.Linear)]
    weights.append(subject.stock.lm_head.weight)
    given = {width: torch.randn(rows, width) for width in {one.shape[1] for one in weights}}
    times = []
    with torch.inference_mode():
        for _ in range(9):
            began = now()
            for weight in weights:
                linear(given[weight.shape[1]], weight)
            times.append(now() - began)
    return statistics.median(times)


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
    parts = {"cells": {str(budget): count for budget, count in cells.items()}}
    sizes = f"{work.pictures} pictures, {work.tokens} tokens"
    return Figure("asks that fit, .2 over 1.0", ratio, ">= 4.5", ratio >= 4.5, parts, sizes)


def second_question(subject: Subject, pictures: int, rounds: Iterable[int], reuse: str) -> Figure:
    """Time to first token of another question on the same pictures, over the first one's."""
    engine = make_engine(subject, feature_bytes=2**28, prefix_bytes=2**30)
    firsts: list[float] = []
    seconds: list[float] = []
    work = Workload("", 1, pictures, 1)
    _answered(engine, requests(subject, Workload("", 1, 1, 1), 499)[0])  # warm
    for number in rounds:
        for times in (firsts, seconds):
            (ask,) = requests(subject, work, 500 + number, reuse=reuse)
            times.append(_answered(engine, ask))
    name = f"first token, second question over first ({reuse})"
    share = ratio(name, seconds, firsts, 0.25, below=True)
    return replace(share, sizes=f"{pictures} pictures")


def scoring_share(subject: Subject, pictures: int, rounds: Iterable[int]) -> Figure:
    """Part of reading a prompt that goes into scores and pruning."""
    engine = make_engine(subject, feature_bytes=2**30)  # looking at pictures is not measured
    tiles: TilesUsed = "base" if subject.tiles == "base" else "max"
    spent: dict[float, list[float]] = {1.0: [], 0.2: []}
    prompt_tokens = 0
    for number in rounds:
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
    sizes = f"{pictures} pictures, {prompt_tokens} tokens"
    name = "scoring's and pruning's share of prefill"
    return Figure(name, share, "<= 0.08 at 8k", share <= 0.08, parts, sizes)


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
    name, sizes = "longest gap of a running row, seconds", f"{pictures} pictures read meanwhile"
    return Figure(name, max(gaps), f"{bound} + a piece", None, parts, sizes)


def ratio(
    name: str, above: list[float], under: list[float], goal: float | None, *, below: bool = False
) -> Figure:
    """The median of `above` over `under`, round by round."""
    ratios = [a / b for a, b in zip(above, under, strict=True)]
    value = statistics.median(ratios)
    if goal is None:
        return Figure(name, value, "-", None, {"ratios": ratios})
    met = value <= goal if below else value >= goal
    return Figure(name, value, f"{'<=' if below else '>='} {goal}", met, {"ratios": ratios})
