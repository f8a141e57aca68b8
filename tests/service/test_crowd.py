"""What is remembered of a refusal, for how long, and for whom."""

import pytest

from service import crowd
from service.crowd import Crowd
from service.problems import Problem
from wire.records import Refused

LONG = Refused("wait_too_long", 3.0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(crowd, "time", made)
    return made


def turned_away(known: Crowd, tenant: str = "a", patience: float = 8) -> bool:
    try:
        known.check(tenant, patience)
    except Problem as problem:
        return problem.code == "overloaded" and int((problem.headers or {})["Retry-After"]) >= 1
    return False


def test_a_refusal_holds_for_its_tenant_and_a_moment(clock: Clock) -> None:
    known = Crowd()
    assert known.check("a", 8) is False
    known.note("a", LONG, 7.9)
    assert turned_away(known)
    assert not turned_away(known, "b")
    clock.now += crowd.HOLDS_SECONDS
    assert known.check("a", 8) is True, "it looks first"
    clock.now += crowd.CROWDED_SECONDS
    assert known.check("a", 8) is False, "all is forgotten"


def test_who_has_more_time_is_not_turned_away_for_a_long_line(clock: Clock) -> None:
    known = Crowd()
    known.note("a", LONG, 8)
    assert turned_away(known, patience=7)
    assert known.check("a", 60) is True
    known.note("a", Refused("too_many_of_tenant", 0.001), 8)
    assert turned_away(known, patience=60)


def test_a_change_makes_the_next_one_look(clock: Clock) -> None:
    known = Crowd()
    known.note("a", LONG, 8)
    known.change("b")
    assert turned_away(known)
    known.change("a")
    assert known.check("a", 8) is True
    known.note("a", LONG, 8)
    assert turned_away(known)


def test_an_ask_that_came_too_late_tells_nothing_of_room(clock: Clock) -> None:
    known = Crowd()
    known.note("a", Refused("deadline_passed", 0), 0)
    assert known.check("a", 8) is False


def test_tenants_are_not_remembered_without_end(clock: Clock) -> None:
    known = Crowd()
    for number in range(crowd.MOST_TENANTS + 1):
        known.note(str(number), LONG, 8)
    assert turned_away(known, str(crowd.MOST_TENANTS))
    assert not turned_away(known, "0")
