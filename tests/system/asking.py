"""Questions to a running service over HTTP, for tests that start it in one way or another."""

import io
import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageDraw

ROOT = Path(__file__).parents[2]
QUESTION = "Which image shows a red circle?"
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")


def picture(colour: str, side: int = 160) -> bytes:
    """A PNG with one disc."""
    image = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(image).ellipse((side // 4, side // 4, 3 * side // 4, 3 * side // 4), fill=colour)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def ask(
    address: str, pictures: list[bytes], question: str = QUESTION, params: str = "{}"
) -> httpx.Response:
    """One question as a form, as curl sends it."""
    files = [("images", (f"{i}.png", data, "image/png")) for i, data in enumerate(pictures)]
    data = {"question": question, "params": params}
    return httpx.post(f"{address}/v1/ask", data=data, files=files, timeout=450)


def ask_many(
    address: str, count: int, max_tokens: int, timeout_seconds: int
) -> tuple[ThreadPoolExecutor, list[Future[httpx.Response]]]:
    """So many different asks at once, past every cache."""
    pool = ThreadPoolExecutor(count)
    pictures = [picture(colour) for colour in COLOURS[:3]]
    asks = []
    for i in range(count):
        params = {
            "cache": "off",
            "timeout_seconds": timeout_seconds,
            "pruning": {"gamma": 1 + i / 100},
            "generation": {"max_tokens": max_tokens},
        }
        asks.append(pool.submit(ask, address, pictures, params=json.dumps(params)))
    return pool, asks


def metric(address: str, name: str) -> float:
    """One sample without labels from /metrics."""
    for line in httpx.get(f"{address}/metrics", timeout=10).text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[1])
    raise AssertionError(f"{name} is not among the metrics")


def status(address: str, path: str = "/readyz") -> int:
    """Status of a GET; 0 where nobody answers."""
    try:
        return httpx.get(address + path, timeout=5).status_code
    except httpx.HTTPError:
        return 0


def wait_for(condition: Callable[[], Any], seconds: float, what: str | Callable[[], str]) -> float:
    """Poll until true; the seconds that it took. `what` is called, if it can be, at failure."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        if condition():
            return time.monotonic() - started
        time.sleep(0.2)
    said = what if isinstance(what, str) else what()
    raise AssertionError(f"not within {seconds:.0f} s: {said}")
