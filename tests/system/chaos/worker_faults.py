"""Workers die: one after the other, all at once, or only seemingly."""

import asyncio
import random
import signal
import time

from tests.system.chaos.askers import LedgerAskers
from tests.system.chaos.books import Books, figures, percentile
from tests.system.chaos.scene import Measure, Outcome
from tests.system.chaos.stage import Plan, Stage, staged

STEPS = 5


def kill_one_by_one(measure: Measure) -> Outcome:
    """kill -9 a worker every 2-3 s at saturation."""
    books = Books()
    plan = Plan(lease_seconds=measure.lease_seconds)
    with staged(plan, measure.folder / "kill_one") as stage:
        calm = measure.seconds(10, 2)
        began = asyncio.run(_under_kills(stage, books, calm, measure.seconds(300, 8)))
        verdict = books.close(stage.settings)
    calmly, killed = books.took(until=began), books.took(since=began)
    usual = percentile(calmly, 0.5)
    extra = percentile(killed, 0.99) - usual
    noise = percentile(calmly, 0.99) - usual
    most = plan.lease_seconds + 2
    return Outcome(
        "kill -9 a worker every 2-3 s",
        f"lost 0, twice 0, extra delay p99 <= {most:g} s over that of the calm",
        verdict.is_clean and extra - noise <= most and not stage.self_deaths,
        {
            "kills": stage.kills,
            **figures(verdict),
            "usual_p50_s": round(usual, 3),
            "extra_p99_s": round(extra, 3),
            "calm_extra_p99_s": round(noise, 3),
            "start_s": round(stage.start_seconds, 1),
            "self_deaths": len(stage.self_deaths),
        },
        notes=books.last_errors[:3],
    )


async def _under_kills(stage: Stage, books: Books, calm: float, seconds: float) -> float:
    askers = LedgerAskers(stage.settings, books, outstanding=2 * stage.slots, steps=STEPS)
    askers.begin()
    await asyncio.sleep(calm)
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        await asyncio.sleep(random.uniform(2, 3))
        # Where a start takes longer than the pause, killing blindly leaves nobody to measure.
        if len(await asyncio.to_thread(stage.live_workers)) >= 2:
            stage.kill_worker()
    await askers.end()
    return began


def kill_all(measure: Measure) -> Outcome:
    """kill -9 all workers at once; they are started again."""
    books = Books()
    plan = Plan(lease_seconds=measure.lease_seconds)
    rounds = measure.times(5, 1)
    with staged(plan, measure.folder / "kill_all") as stage:

        async def play() -> None:
            askers = LedgerAskers(stage.settings, books, outstanding=2 * stage.slots, steps=STEPS)
            askers.begin()
            for _ in range(rounds):
                await asyncio.sleep(3)
                for worker in stage.workers:
                    stage.kill_worker(worker)
            await asyncio.sleep(measure.seconds(15, 4))
            await askers.end()

        asyncio.run(play())
        verdict = books.close(stage.settings)
    return Outcome(
        "kill -9 all workers, start again",
        "lost 0, twice 0",
        verdict.is_clean,
        {"rounds": rounds, **figures(verdict), "longest_s": round(max(books.took()), 2)},
        notes=books.last_errors[:3],
    )


def stop_and_continue(measure: Measure) -> Outcome:
    """SIGSTOP a worker, then SIGCONT: its late results must be refused."""
    books = Books()
    plan = Plan(workers=2, lease_seconds=min(measure.lease_seconds, measure.seconds(60, 2) / 2))
    frozen = measure.seconds(60, 5)
    with staged(plan, measure.folder / "stop") as stage:

        async def play() -> None:
            askers = LedgerAskers(stage.settings, books, outstanding=2 * stage.slots, steps=25)
            askers.begin()
            await asyncio.sleep(2)
            stage.workers[0].send(signal.SIGSTOP)
            await asyncio.sleep(frozen)
            stage.workers[0].send(signal.SIGCONT)
            await asyncio.sleep(3)
            await askers.end()

        asyncio.run(play())
        verdict = books.close(stage.settings)
    return Outcome(
        f"SIGSTOP a worker for {frozen:g} s, then SIGCONT",
        "one result each, the zombie's refused",
        verdict.is_clean and verdict.retaken > 0 and not stage.self_deaths,
        figures(verdict),
    )
