"""First come, first served, and nobody is forgotten."""

from myopia.scheduler import Scheduler, Waiting


def test_first_come_first_served() -> None:
    scheduler = Scheduler(most_rows=2, cells=100)
    for number, cells in enumerate([60, 10]):
        scheduler.enqueue(Waiting(f"ask_{number}", cells, None))
    assert scheduler.admit(rows=0, free_cells=50) is None, "the small one must not overtake"
    assert scheduler.admit(rows=2, free_cells=100) is None
    assert scheduler.admit(rows=1, free_cells=60) == "ask_0"
    assert scheduler.admit(rows=1, free_cells=40) == "ask_1"
    assert scheduler.admit(rows=0, free_cells=100) is None


def test_deadlines_and_drops() -> None:
    scheduler = Scheduler(most_rows=2, cells=100)
    scheduler.enqueue(Waiting("ask_a", 1, 10.0))
    scheduler.enqueue(Waiting("ask_b", 1, 20.0))
    scheduler.enqueue(Waiting("ask_c", 1, None))
    assert scheduler.expired(9.9) == []
    assert scheduler.expired(10.0) == ["ask_a"]
    assert scheduler.drop("ask_a")
    assert not scheduler.drop("ask_a")
    assert len(scheduler) == 2
    assert "ask_b" in scheduler
    assert scheduler.can_ever_hold(100)
    assert not scheduler.can_ever_hold(101)
