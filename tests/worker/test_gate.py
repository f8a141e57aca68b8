"""The gate: many together or one alone, and whoever waits to be alone goes first."""

import threading
import time

from worker.gate import Gate


def test_many_work_together() -> None:
    gate, meeting = Gate(), threading.Barrier(3)

    def work() -> None:
        with gate.together():
            meeting.wait(5)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()


def test_alone_waits_for_those_inside_and_holds_newcomers_back() -> None:
    gate, order = Gate(), list[str]()
    inside, leave = threading.Event(), threading.Event()

    def first() -> None:
        with gate.together():
            inside.set()
            leave.wait(5)
            order.append("first")

    def alone() -> None:
        with gate.alone():
            order.append("alone")
            time.sleep(0.05)
            order.append("alone left")

    def newcomer() -> None:
        with gate.together():
            order.append("newcomer")

    threads = [threading.Thread(target=first)]
    threads[0].start()
    assert inside.wait(5)
    for work in (alone, newcomer):
        threads.append(threading.Thread(target=work))
        threads[-1].start()
        time.sleep(0.05)
    assert order == []
    leave.set()
    for thread in threads:
        thread.join(5)
    assert order == ["first", "alone", "alone left", "newcomer"]
