"""The runner: one thread, one outbox per ask, and what it survives."""

import time
from collections.abc import Iterator

import pytest

from myopia.errors import MyopiaError
from myopia.params import Request, Turn
from myopia.report import Output
from tests.worker.fake_engine import FakeEngine, expected_answer
from worker.fatal import brief, is_fatal, ruins_device
from worker.runner import Broke, LetGo, News, Outbox, Runner


def request(ask_id: str, question: str = "steps=3") -> Request:
    return Request(ask_id=ask_id, turns=(Turn("user", (question,)),))


def all_news(outbox: Outbox) -> list[News]:
    news: list[News] = []
    while True:
        one = outbox.get(5)
        assert one is not None, news
        news.append(one)
        if not isinstance(one, Output) or one.ends:
            return news


class Alarm:
    def __init__(self) -> None:
        self.causes: list[str] = []

    def __call__(self, cause: str) -> None:
        self.causes.append(cause)


@pytest.fixture
def alarm() -> Alarm:
    return Alarm()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(step_seconds=0.002)


@pytest.fixture
def runner(engine: FakeEngine, alarm: Alarm) -> Iterator[Runner]:
    runner = Runner(engine, alarm)
    runner.start()
    yield runner
    runner.stop()


def test_asks_share_steps_and_each_hears_its_own(runner: Runner, engine: FakeEngine) -> None:
    outboxes = {f"a{n}": runner.submit(request(f"a{n}", f"q{n} steps=20")) for n in range(8)}
    for n, outbox in enumerate(outboxes.values()):
        news = all_news(outbox)
        text = "".join(one.text for one in news if isinstance(one, Output))
        assert text == expected_answer(f"q{n} steps=20")
    assert engine.most_rows == 8


def test_a_refused_request_hears_why(runner: Runner) -> None:
    (news,) = all_news(runner.submit(request("a", "refuse")))
    assert isinstance(news, Output)
    assert isinstance(news.failed, MyopiaError)


def test_cancel_ends_with_what_was_answered(runner: Runner) -> None:
    outbox = runner.submit(request("a", "steps=5000"))
    assert outbox.get(5)
    runner.cancel("a")
    runner.cancel("never heard of")
    last = all_news(outbox)[-1]
    assert isinstance(last, Output)
    assert last.finished is not None
    assert last.finished.reason == "cancelled"


def test_a_dropped_ask_can_come_back_at_once(runner: Runner, engine: FakeEngine) -> None:
    first = runner.submit(request("a", "steps=5000"))
    assert first.get(5)
    runner.drop("a")
    again = runner.submit(request("a", "steps=5000"))
    assert isinstance(all_news(first)[-1], LetGo)
    one = again.get(5)
    assert isinstance(one, Output)
    assert one.text == expected_answer("steps=5000")[:4]
    assert engine.most_rows == 1


def test_a_step_that_throws_gives_all_back_and_the_next_ask_works(
    runner: Runner, alarm: Alarm
) -> None:
    neighbour = runner.submit(request("a", "steps=5000"))
    assert neighbour.get(5)
    bad = runner.submit(request("b", "raise"))
    assert all_news(bad)[-1] == Broke("ValueError: a step failed", fatal=False)
    assert all_news(neighbour)[-1] == Broke("ValueError: a step failed", fatal=False)
    assert isinstance(all_news(runner.submit(request("c")))[-1], Output)
    assert alarm.causes == []


def test_a_fatal_error_stops_and_lets_later_asks_go(runner: Runner, alarm: Alarm) -> None:
    last = all_news(runner.submit(request("a", "fatal")))[-1]
    assert isinstance(last, Broke)
    assert last.fatal
    assert len(alarm.causes) == 1
    assert isinstance(runner.submit(request("b")).get(5), LetGo)


def test_an_engine_that_throws_for_ever_is_broken(alarm: Alarm) -> None:
    class Stubborn(FakeEngine):
        def step(self) -> list[Output]:
            raise ValueError("whatever is cancelled")

    runner = Runner(Stubborn(), alarm)
    runner.start()
    assert isinstance(all_news(runner.submit(request("a")))[-1], Broke)
    until = time.monotonic() + 5
    while not alarm.causes and time.monotonic() < until:
        time.sleep(0.01)
    assert len(alarm.causes) == 1


def test_a_device_error_that_the_engine_took_for_a_row_s_own_is_fatal(alarm: Alarm) -> None:
    class Mistaken(FakeEngine):
        def step(self) -> list[Output]:
            failed = MyopiaError("the engine failed on this ask")
            failed.__cause__ = RuntimeError("CUDA error: device-side assert triggered")
            return [Output(ask_id, failed=failed) for ask_id in self.rows]

    runner = Runner(Mistaken(), alarm)
    runner.start()
    assert isinstance(all_news(runner.submit(request("a")))[-1], Broke)
    assert len(alarm.causes) == 1


def test_stop_lets_everything_go(engine: FakeEngine, alarm: Alarm) -> None:
    runner = Runner(engine, alarm)
    runner.start()
    outbox = runner.submit(request("a", "steps=5000"))
    assert outbox.get(5)
    runner.stop()
    assert isinstance(all_news(outbox)[-1], LetGo)
    assert isinstance(runner.submit(request("b")).get(5), LetGo)


def test_which_errors_no_process_survives() -> None:
    class AcceleratorError(RuntimeError):
        pass

    class OutOfMemoryError(RuntimeError):
        pass

    assert ruins_device(RuntimeError("CUDA error: unspecified launch failure"))
    assert ruins_device(AcceleratorError("anything"))
    assert is_fatal(OutOfMemoryError("CUDA out of memory"))
    assert is_fatal(MemoryError())
    assert not ruins_device(OutOfMemoryError("CUDA out of memory"))
    assert not is_fatal(ValueError("CUDA error"))
    assert not is_fatal(RuntimeError("shape mismatch"))
    assert brief(ValueError("first\nsecond")) == "ValueError: first"
