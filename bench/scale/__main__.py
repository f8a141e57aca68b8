"""`python -m bench.scale`: Redis' commands, bytes and time per ask, and asks per GPU by budget.

Redis is counted by its own INFO around real asks through a real gateway and worker (round an
engine of no time), so that the numbers hold for any model. Needs no GPU. Prints two tables.
"""

import argparse
import json
import secrets
import tempfile
import time
from base64 import b64encode
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any

import redis
from PIL import Image

from bench.load.stack import running
from bench.scale.reckoning import H100, L4, MISTRAL, VICUNA, Load, asks_per_second, rows

BUDGETS = (1.0, 0.5, 0.2, 0.1)
LOADS = (
    Load(pictures=5, tokens_per_picture=2880, text_tokens=60, answer_tokens=32),
    Load(pictures=5, tokens_per_picture=576, text_tokens=60, answer_tokens=32),
    Load(pictures=5, tokens_per_picture=576, text_tokens=60, answer_tokens=256),
)


def noise(side: int) -> bytes:
    """A PNG that does not compress: about 3 side² bytes, and never seen before."""
    image = Image.frombytes("RGB", (side, side), secrets.token_bytes(3 * side * side))
    stream = BytesIO()
    image.save(stream, "PNG", compress_level=0)
    return stream.getvalue()


def ask(port: int, pictures: list[bytes]) -> None:
    """One ask with fresh pictures, past the result cache."""
    body = {
        "question": "What is here?",
        "images": [{"data": b64encode(data).decode()} for data in pictures],
        "cache": "off",
    }
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/ask", json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {text[:300]!r}")


def counters(client: redis.Redis) -> dict[str, float]:
    """Redis' totals so far."""
    info: dict[str, Any] = client.info("everything")
    return {
        "commands": info["total_commands_processed"],
        "in": info["total_net_input_bytes"],
        "out": info["total_net_output_bytes"],
        "cpu": info["used_cpu_user"] + info["used_cpu_sys"],
        "memory": info["used_memory"],
    }


def cost(client: redis.Redis, port: int, side: int, count: int) -> dict[str, float]:
    """Mean per ask of three pictures, less what the same time costs without asks."""
    pictures = [[noise(side) for _ in range(3)] for _ in range(count)]
    ask(port, [noise(side)])
    before, began = counters(client), time.monotonic()
    for each in pictures:
        ask(port, each)
    after, took = counters(client), time.monotonic() - began
    time.sleep(took)
    idle = counters(client)
    mean = {
        name: (after[name] - before[name] - (idle[name] - after[name])) / count for name in before
    }
    mean["memory"] = (after["memory"] - before["memory"]) / count
    mean["pictures"] = sum(len(p) for each in pictures for p in each) / count
    return mean


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--asks", type=int, default=40)
    options = parser.parse_args()
    print("Redis per ask (3 pictures, one answer):")
    print(
        f"{'pictures KB':>12} {'commands':>9} {'in KB':>8} {'out KB':>8} {'CPU ms':>7} "
        f"{'kept KB':>8}"
    )
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), 8) as stack:
        client = redis.Redis.from_url(stack.redis.url, decode_responses=True)
        for side in (32, 128, 400):
            mean = cost(client, stack.gateway, side, options.asks)
            kilobytes = {name: mean[name] / 1000 for name in ("pictures", "in", "out", "memory")}
            print(
                f"{kilobytes['pictures']:12.1f} {mean['commands']:9.1f} {kilobytes['in']:8.1f} "
                f"{kilobytes['out']:8.1f} {1000 * mean['cpu']:7.2f} {kilobytes['memory']:8.1f}"
            )
    print("\nAsks per second of one GPU (reckoned, at 40 % of peak), and rows at once:")
    for model in (MISTRAL, VICUNA):
        for gpu in (H100, L4):
            for load in LOADS:
                cells = "  ".join(
                    f"{budget}: {asks_per_second(model, gpu, load, budget):6.2f} "
                    f"({rows(model, gpu, load, budget):3d})"
                    for budget in BUDGETS
                )
                kind = f"{load.pictures}x{load.tokens_per_picture}, {load.answer_tokens} out"
                print(f"{model.name:24} {gpu.name:11} {kind:16} {cells}")


if __name__ == "__main__":
    main()
