"""The engine that remembers, and the two services it is measured in, in their smallest form."""

import argparse

import pytest
from PIL import Image

from bench.affinity.__main__ import measure, share
from bench.affinity.engine import STEPS, RememberingEngine
from bench.affinity.stack import Plan
from myopia.params import Picture, Request, Turn
from tests.redis_server import find_binary


def request(number: int, *digests: str) -> Request:
    pictures = tuple(Picture(Image.new("RGB", (8, 8)), digest) for digest in digests)
    return Request(ask_id=f"ask_{number}", turns=(Turn("user", (*pictures, "?")),))


def remembered(engine: RememberingEngine, number: int, *digests: str) -> bool:
    engine.add(request(number, *digests))
    endings = [output for _ in range(STEPS) for output in engine.step() if output.ends]
    assert not engine.has_work
    (ending,) = endings
    assert ending.finished is not None
    return ending.finished.cache.prefill == "exact"


def test_the_engine_forgets_what_was_longest_unused() -> None:
    engine = RememberingEngine(2, 0, 0)
    assert not remembered(engine, 1, "a", "b")
    assert remembered(engine, 2, "a", "b")
    assert not remembered(engine, 3, "b", "a")  # another order is another album
    assert remembered(engine, 4, "a", "b")
    assert not remembered(engine, 5, "c")
    assert not remembered(engine, 6, "b", "a")
    assert share([{"cache": {"prefill": "exact"}}, {"cache": {"prefill": "none"}}]) == 0.5


def test_a_cancelled_ask_ends() -> None:
    engine = RememberingEngine(2, 0, 0)
    engine.add(request(1, "a"))
    engine.cancel("ask_1")
    (output,) = engine.step()
    assert output.finished is not None
    assert output.finished.reason == "cancelled"


@pytest.mark.skipif(find_binary() is None, reason="no redis-server here")
@pytest.mark.slow
def test_asks_meet_the_worker_that_knows_their_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two workers, few asks: with preference an album is read by one of them, and only once."""
    monkeypatch.setattr("bench.affinity.__main__.LOADS", (0.25,))
    options = argparse.Namespace(albums=6, side=12, repeats=5, alone=6, wait=0.05)
    plan = Plan(workers=2, albums_kept=12, slots=4, read_ms=1, step_ms=1)
    figures = measure(plan, options)
    preferring, anyone = (figures[name]["load 0.25"] for name in ("preferring", "any"))
    assert preferring["asks"] == anyone["asks"] == 30
    assert anyone["hit_share"] < 1 - 2 / 30 - 5 / 30
    assert preferring["hit_share"] > anyone["hit_share"]
