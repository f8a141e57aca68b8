"""`python -m bench.load`: what the service adds round an engine of 0 ms, beside two floors.

The kinds take turns, so that noise hits all alike; one worker answers them. A crowd is served by
three workers, then by a bare loop over the ledger, since on one machine the workers are the limit
before the gateway is. Traffic goes to 127.0.0.1 only and is bounded in count and
time. Writes build/load.json and prints a table.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from bench.load.probes import Client, ask_body, crowd
from bench.load.stack import Stack, running

CLIENTS = 32
WORKERS = 3


def percentile(values: list[float], share: float) -> float:
    """Nearest-rank percentile; `share` in (0, 1]."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(share * len(ordered)) - 1))]


def kinds(stack: Stack) -> dict[str, Callable[[], float]]:
    """The timed exchanges by name."""
    os.environ["MYOPIA_REDIS_URL"] = stack.redis.url
    from bench.load.celery_floor import nothing  # noqa: PLC0415 - reads the address at import

    gateway, echo = Client(stack.gateway), Client(stack.echo)
    gateway.post("/v1/ask", ask_body("cached", cache="use"))

    def celery_floor() -> float:
        started = time.perf_counter()
        nothing.delay().get(timeout=10)
        return time.perf_counter() - started

    return {
        "fastapi echo": lambda: echo.post("/", ask_body("echo"))[0],
        "celery no-op": celery_floor,
        "cached ask": lambda: gateway.post("/v1/ask", ask_body("cached", cache="use"))[0],
        "ask": lambda: gateway.post("/v1/ask", ask_body(uuid.uuid4().hex))[0],
        "first event": lambda: gateway.first_event("/v1/ask", ask_body(uuid.uuid4().hex)),
    }


def measure(stack: Stack, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Milliseconds by kind, from interleaved rounds; then the crowd."""
    timed = kinds(stack)
    took: dict[str, list[float]] = {name: [] for name in timed}
    for number in range(rounds + 10):
        for name, exchange in timed.items():
            value = exchange()
            if number >= 10:  # the first ones open connections and warm caches
                took[name].append(value * 1000)
    rows = {
        name: {
            "p50_ms": statistics.median(values),
            "p95_ms": percentile(values, 0.95),
            "p99_ms": percentile(values, 0.99),
        }
        for name, values in took.items()
    }
    stack.add_workers(WORKERS - 1)
    rows[f"crowd of {CLIENTS}"] = throughput(stack, seconds, "off")
    stack.stop_workers()
    stack.add_workers(1, "bench.load.answerer")
    rows["bare answerer"] = throughput(stack, seconds, "off")
    rows["all cached"] = throughput(stack, seconds, "use")
    return rows


def throughput(stack: Stack, seconds: float, cache: str) -> dict[str, float]:
    """What a crowd gets out of the one gateway, and what that costs the gateway."""
    before = stack.processor_seconds("service")
    count, each = crowd(stack.gateway, CLIENTS, seconds, cache)
    return {
        "p50_ms": statistics.median(each) * 1000,
        "p95_ms": percentile(each, 0.95) * 1000,
        "p99_ms": percentile(each, 0.99) * 1000,
        "asks_per_second": count / seconds,
        "gateway_ms": (stack.processor_seconds("service") - before) / count * 1000,
    }


def main() -> None:
    """Run, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--out", type=Path, default=Path("build/load.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), CLIENTS) as stack:
        rows = measure(stack, options.rounds, options.seconds)
    floor = rows["fastapi echo"]["p50_ms"] + rows["celery no-op"]["p50_ms"]
    report = {
        "machine": f"{os.cpu_count()} {platform.machine()} cores",
        "rows": rows,
        "ask_over_floors_p50": rows["ask"]["p50_ms"] / floor,
        "cached_over_echo_p50": rows["cached ask"]["p50_ms"] / rows["fastapi echo"]["p50_ms"],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(report, indent=1))
    print(f"{'':16} {'p50 ms':>9} {'p95 ms':>9} {'p99 ms':>9} {'asks/s':>8} {'gateway ms':>11}")
    for name, row in rows.items():
        rate = ""
        if "asks_per_second" in row:
            rate = f"{row['asks_per_second']:8.0f} {row['gateway_ms']:11.2f}"
        print(f"{name:16} {row['p50_ms']:9.2f} {row['p95_ms']:9.2f} {row['p99_ms']:9.2f} {rate}")
    print(f"ask / (echo + no-op): {report['ask_over_floors_p50']:.2f}; ", end="")
    print(f"cached / echo: {report['cached_over_echo_p50']:.2f}; {report['machine']}")


if __name__ == "__main__":
    main()
