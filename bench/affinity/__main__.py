"""`python -m bench.affinity`: share of asks that meet a remembered album, and what that makes wait.

Two services on one Redis differ only in MYOPIA_PREFILL_WAIT_SECONDS: with preference (`--wait`) and
without (0). The shares are counts, so a busy machine does not change them much; the waits of a
single asker alternate between both, so that noise hits both alike. Writes build/affinity.json.
"""

import argparse
import json
import random
import secrets
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from bench.affinity.stack import Plan, Service, running

PICTURES = 3
LOADS = (0.5, 1.0, 2.0)
"""Askers per slot of the fleet: slots to spare, none and no queue, and a queue."""


def noise(side: int) -> bytes:
    """A small PNG that nobody has seen before."""
    stream = BytesIO()
    Image.frombytes("RGB", (side, side), secrets.token_bytes(3 * side * side)).save(stream, "PNG")
    return stream.getvalue()


def albums(service: Service, count: int, side: int) -> list[list[str]]:
    """Store so many sets of pictures; their ids."""
    return [[service.put(noise(side)) for _ in range(PICTURES)] for _ in range(count)]


def crowd(service: Service, sets: list[list[str]], repeats: int, clients: int) -> dict[str, float]:
    """Ask about each set so often, in one shuffled order, by so many clients; shares and rate."""
    order = [album for album in sets for _ in range(repeats)]
    random.Random(7).shuffle(order)
    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        answers = list(pool.map(service.ask, order, map(str, range(len(order)))))
    took = time.monotonic() - began
    return {"asks": len(order), "hit_share": share(answers), "asks_per_second": len(order) / took}


def share(answers: list[dict[str, Any]]) -> float:
    """Of all answers, those whose pictures had been read before by the same worker."""
    hits: int = sum(answer["cache"]["prefill"] != "none" for answer in answers)
    return hits / len(answers)


def alone(services: dict[str, Service], sets: dict[str, list[list[str]]], count: int) -> Any:  # noqa: ANN401
    """Milliseconds from acceptance to claim, one ask at a time, all workers idle."""
    waits: dict[str, list[float]] = {name: [] for name in services}
    for number in range(count):
        for name, service in services.items():
            album = sets[name][number % len(sets[name])]
            waits[name].append(service.ask(album, f"alone {number}")["timings"]["queue_ms"])
    return {
        name: {
            "queue_ms_p50": statistics.median(each),
            "queue_ms_p95": sorted(each)[round(0.95 * (len(each) - 1))],
            "queue_ms_max": max(each),
        }
        for name, each in waits.items()
    }


def measure(plan: Plan, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Both services with so many workers each."""
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder), plan, {"preferring": options.wait, "any": 0.0}) as services,
    ):
        figures: dict[str, dict[str, Any]] = {name: {} for name in services}
        sets = {}
        for load in LOADS:
            clients = round(load * plan.workers * plan.slots)
            for name, service in services.items():
                sets[name] = albums(service, options.albums, options.side)
                figures[name][f"load {load}"] = crowd(service, sets[name], options.repeats, clients)
        for name, quiet in alone(services, sets, options.alone).items():
            figures[name]["alone"] = quiet
    return figures


def main() -> None:
    """Measure with each number of workers, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[2, 3])
    parser.add_argument("--albums", type=int, default=24)
    parser.add_argument("--kept", type=int, default=16, help="albums that a worker remembers")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--slots", type=int, default=4, help="asks at once in a worker")
    parser.add_argument("--wait", type=float, default=0.05, help="MYOPIA_PREFILL_WAIT_SECONDS")
    parser.add_argument("--alone", type=int, default=40)
    parser.add_argument("--read-ms", type=float, default=200, help="reading an album")
    parser.add_argument("--step-ms", type=float, default=100, help="one of four steps")
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--pocket", action="store_true", help="real engines, which keep all albums")
    options = parser.parse_args()
    whole: dict[str, Any] = {"options": vars(options), "workers": {}}
    best = 1 - 1 / options.repeats
    print(f"{options.albums} albums, each asked about {options.repeats} times: at best {best:.0%}")
    titles = "".join(f"  at load {load}" for load in LOADS)
    print(f"{'workers':>8} {'':>11}{titles}   wait p50   p95   max (ms)")
    for workers in options.workers:
        plan = Plan(
            workers,
            options.kept,
            options.slots,
            options.read_ms,
            options.step_ms,
            options.pocket,
        )
        whole["workers"][workers] = figures = measure(plan, options)
        for name, row in figures.items():
            shares = "".join(f"{row[f'load {load}']['hit_share']:13.1%}" for load in LOADS)
            waits = row["alone"]
            print(
                f"{workers:8d} {name:>11}{shares} {waits['queue_ms_p50']:10.1f} "
                f"{waits['queue_ms_p95']:5.1f} {waits['queue_ms_max']:5.1f}"
            )
    Path("build").mkdir(exist_ok=True)
    Path("build/affinity.json").write_text(json.dumps(whole, indent=1))


if __name__ == "__main__":
    main()
