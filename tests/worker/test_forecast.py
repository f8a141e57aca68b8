"""What is told of asks that still run, from what was seen."""

import pytest

from worker.forecast import REMEMBERED, Forecast


def test_nothing_seen_is_told_as_no_time() -> None:
    assert Forecast().seconds_left(0, 100) == 0


def test_without_answers_all_tokens_that_may_come_are_reckoned_with() -> None:
    forecast = Forecast()
    for seconds in (0.1, 0.1, 9.0):  # one step with a prefill in it
        forecast.stepped(seconds)
    assert forecast.seconds_left(20, 100) == pytest.approx(8)
    assert forecast.seconds_left(100, 100) == 0


def test_answers_that_were_seen_say_how_long_they_get() -> None:
    forecast = Forecast()
    forecast.stepped(0.1)
    for tokens in (10, 20, 30, 40, 50):
        forecast.finished(tokens, prefill_seconds=2)
    assert forecast.seconds_left(0, 1000) == pytest.approx(2 + 3)
    assert forecast.seconds_left(0, 5) == pytest.approx(2 + 0.5)
    # 30, 40 and 50 were longer than this one is by now: 10 more tokens, give or take ten.
    assert forecast.seconds_left(30, 1000) == pytest.approx(1.5)
    assert forecast.seconds_left(25, 1000) == pytest.approx(1.5)
    # Longer than any before: nothing is known but the limit.
    assert forecast.seconds_left(60, 1000) == pytest.approx(94)


def test_what_is_old_is_forgotten() -> None:
    forecast = Forecast()
    for _ in range(REMEMBERED):
        forecast.stepped(5)
    for _ in range(REMEMBERED):
        forecast.stepped(0.1)
    assert forecast.seconds_left(0, 10) == pytest.approx(1)
