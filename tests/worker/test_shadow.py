"""The shadow: asks again when idle, counts agreement, and gives way to whoever is live."""

import math
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from myopia.params import Pruning, Request, Sampling, Turn
from myopia.report import Finished
from tests.redis_server import free_port
from tests.worker.conftest import StartWorker
from tests.worker.fake_engine import FakeEngine, Row, expected_answer
from tests.worker.processes import wait_for
from tests.worker.test_process import ending, has_ended, put
from tests.worker.test_runner import all_news
from wire.ledger import Ledger
from wire.messages import Done
from wire.queue import Queue
from wire.store import Store
from worker.runner import Runner
from worker.shadow import Shadow
from worker.tally import Tally

PRUNED = Pruning(budget=0.2)


class Forgetful(FakeEngine):
    """Answers otherwise where the cache was pruned and the question says so."""

    def add(self, request: Request) -> None:
        super().add(request)
        row: Row = self.rows[request.ask_id]
        if "fragile" in row.question and request.pruning.budget < 1:
            row.words[-1] = "forgotten"


@pytest.fixture
def engine() -> FakeEngine:
    return Forgetful(step_seconds=0.002)


@pytest.fixture
def runner(engine: FakeEngine) -> Iterator[Runner]:
    runner = Runner(engine, lambda _: None)
    runner.start()
    yield runner
    runner.stop()


class Scene:
    """A shadow with everything round it; `idle` is what it is told."""

    def __init__(self, runner: Runner, share: float = 1.0) -> None:
        self.tally, self.idle, self.runner = Tally(), True, runner
        self.shadow = Shadow(runner, self.tally, share, lambda: self.idle)

    def answered(self, question: str, pruning: Pruning = PRUNED, temperature: float = 0) -> None:
        """A live ask, from submission to its offer."""
        sampling = Sampling(temperature=temperature)
        turns = (Turn("user", (question,)),)
        request = Request(f"ask_{question}", turns, pruning=pruning, sampling=sampling)
        finished = all_news(self.runner.submit(request))[-1].finished  # type: ignore[union-attr]
        assert finished is not None
        self.shadow.offer(request, finished)

    def counted(self, outcome: str) -> float:
        found = self.tally.registry.get_sample_value("myopia_shadow_total", {"outcome": outcome})
        return found or 0.0

    @property
    def agreement(self) -> float | None:
        return self.tally.registry.get_sample_value("myopia_shadow_agreement_ratio")


def test_agreement_is_counted_over_what_was_asked_again(runner: Runner) -> None:
    scene = Scene(runner)
    for question in ("one", "two", "fragile three", "four"):
        scene.answered(question)
    scene.shadow.tick()
    assert (scene.counted("agreed"), scene.counted("differed")) == (3, 1)
    assert scene.agreement == 0.75
    scene.shadow.tick()  # each is asked once
    assert scene.counted("agreed") == 3


def test_nothing_is_asked_again_while_anything_is_live_or_the_share_is_zero(
    runner: Runner, engine: FakeEngine
) -> None:
    scene = Scene(runner)
    scene.answered("one")
    scene.idle = False
    scene.shadow.tick()
    assert scene.counted("agreed") == 0
    scene.idle = True
    scene.shadow.tick()
    assert scene.counted("agreed") == 1
    off = Scene(runner, share=0)
    off.answered("two")
    off.shadow.tick()
    assert b'outcome="agreed"' not in generate_latest(off.tally.registry)


def test_what_can_tell_nothing_is_not_asked_again(runner: Runner) -> None:
    scene = Scene(runner)
    scene.answered("whole", Pruning(policy="full", budget=1.0))
    scene.answered("all kept", Pruning(budget=1.0))
    scene.answered("by chance", temperature=1.0)
    turns = (Turn("user", ("left",)),)
    scene.shadow.offer(Request("ask_left", turns, pruning=PRUNED), Finished("cancelled", ""))
    scene.shadow.tick()
    assert scene.counted("agreed") + scene.counted("differed") == 0


def test_a_live_ask_is_not_kept_waiting(runner: Runner, engine: FakeEngine) -> None:
    scene = Scene(runner)
    turns = (Turn("user", ("slow steps=100000",)),)
    slow = Request("ask_slow", turns, pruning=PRUNED)
    scene.shadow.offer(slow, Finished("stop", "what was said"))

    begun: list[float] = []

    class Late:
        """Idle until the shadow's row runs; then a live ask comes."""

        def __call__(self) -> bool:
            return not begun

    scene.shadow._is_idle = Late()

    def live() -> None:
        wait_for(lambda: "shadow_ask_slow" in engine.rows, 5)
        begun.append(time.monotonic())
        scene.shadow.make_way()
        all_news(runner.submit(Request("ask_live", (Turn("user", ("steps=3",)),))))
        begun.append(time.monotonic())

    thread = threading.Thread(target=live)
    thread.start()
    scene.shadow.tick()  # returns: the shadow ask was let go of
    thread.join(10)
    assert begun[1] - begun[0] < 1  # 100000 steps would take minutes
    assert scene.counted("given_up") == 1
    assert not engine.rows


def test_an_ask_that_comes_while_the_shadow_submits_is_given_way_to(runner: Runner) -> None:
    scene = Scene(runner)
    scene.shadow.offer(
        Request("ask_slow", (Turn("user", ("steps=100000",)),), pruning=PRUNED),
        Finished("stop", ""),
    )
    looks = iter([True, False, False])
    scene.shadow._is_idle = lambda: next(looks)
    scene.shadow.tick()
    assert scene.counted("given_up") == 1


def test_an_engine_that_lets_go_gives_no_verdict(runner: Runner) -> None:
    scene = Scene(runner)
    scene.answered("one")
    request, answer = scene.shadow._waiting.pop()
    refused = replace(request, turns=(Turn("user", ("refuse",)),))
    scene.shadow._waiting.append((refused, answer))
    scene.shadow.tick()
    assert scene.counted("given_up") == 1
    assert scene.agreement is not None
    assert math.isnan(scene.agreement)


def test_a_real_worker_asks_again_and_nobody_but_its_metrics_hears_of_it(
    ledger: Ledger, store: Store, queue: Queue, start_worker: StartWorker, tmp_path: Path
) -> None:
    port, log = free_port(), tmp_path / "begun"
    start_worker(MYOPIA_SHADOW_SHARE=1, MYOPIA_WORKER_PORT=port, FAKE_RUN_LOG=log).until_ready()
    ask = put(ledger, queue, "steps=4")
    wait_for(lambda: has_ended(ledger, ask))
    url = f"http://127.0.0.1:{port}/metrics"

    def metrics() -> str:
        with urllib.request.urlopen(url, timeout=5) as response:
            text: str = response.read().decode()
        return text

    wait_for(lambda: 'myopia_shadow_total{outcome="agreed"} 1.0' in metrics())
    assert "myopia_shadow_agreement_ratio 1.0" in metrics()
    assert log.read_text().split() == [ask.ask_id, f"shadow_{ask.ask_id}"]
    done = ending(store, ask)
    assert isinstance(done, Done)
    assert done.answer == expected_answer("steps=4")
    counters = ledger.counters()
    assert (counters.accepted, counters.done, counters.imbalance) == (1, 1, 0)
    assert not store.text.keys("*shadow*")
    assert 'myopia_request_success_total{finished_reason="stop"} 1.0' in metrics()
