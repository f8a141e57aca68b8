"""Redis dies and comes back, with its data or without."""

import asyncio
import random

from tests.system.chaos.askers import HttpAsker, LedgerAskers, new_question
from tests.system.chaos.books import Books, figures
from tests.system.chaos.pulse import Pulse, pulsing
from tests.system.chaos.scene import Measure, Outcome
from tests.system.chaos.stage import Plan, staged
from wire.ledger import Ledger

STEPS = 5
NOT_ALLOWED = {0, 500, 502}


def restart_redis(measure: Measure) -> Outcome:
    """kill -9 Redis again and again, workers in between, with callers at a gateway."""
    books = Books()
    rounds, down = measure.times(30, 2), 1.5
    plan = Plan(gateways=1, lease_seconds=measure.lease_seconds)
    with staged(plan, measure.folder / "redis") as stage:
        asker = HttpAsker(stage.gateways[0].url)

        async def play() -> Pulse:
            async with pulsing() as pulse:
                await strike()
            return pulse

        async def strike() -> None:
            asking = True
            askers = LedgerAskers(stage.settings, books, outstanding=stage.slots, steps=STEPS)
            askers.begin()
            http = [
                asyncio.create_task(asker.keep_asking(lambda: asking, STEPS, 0.02))
                for _ in range(4)
            ]
            for number in range(rounds):
                await asyncio.sleep(random.uniform(2, 4))
                await asyncio.to_thread(stage.redis.restart, down)
                if number % 2:
                    stage.kill_worker()
            await asyncio.sleep(2)
            asking = False
            await asyncio.gather(*http)
            await askers.end()
            await asker.close()

        pulse = asyncio.run(play())
        verdict = books.close(stage.settings)
    statuses = sorted({reply.status for reply in asker.replies})
    told = [reply for reply in asker.replies if reply.status == 503]
    slowest = max((reply.seconds for reply in told), default=0.0)
    net = max((r.seconds - pulse.worst(r.at, r.at + r.seconds) for r in told), default=0.0)
    counts = {f"http_{s}": sum(r.status == s for r in asker.replies) for s in statuses}
    bad = [reply for reply in asker.replies if reply.status in NOT_ALLOWED]
    return Outcome(
        f"Redis kill -9 and restart {rounds} times, workers killed in between",
        "lost 0, twice 0, self-deaths 0; gateway: 503 within 1 s (less what a bare echo took at "
        "that moment), never 500, never hangs",
        verdict.is_clean and not stage.self_deaths and not bad and net <= 1,
        {
            **figures(verdict),
            "worker_kills": stage.kills,
            "self_deaths": len(stage.self_deaths),
            **counts,
            "slowest_503_s": round(slowest, 3),
            "slowest_503_net_s": round(net, 3),
            "echo_p99_s": round(pulse.p99(), 3),
        },
        notes=[f"{reply.status} {reply.code}" for reply in bad[:3]] + books.last_errors[:3],
    )


def wipe_redis(measure: Measure) -> Outcome:
    """FLUSHALL while callers wait: each must be told, and the next ask answered."""
    plan = Plan(workers=1, gateways=1, lease_seconds=measure.lease_seconds)
    with staged(plan, measure.folder / "wipe") as stage:
        asker = HttpAsker(stage.gateways[0].url)

        async def play() -> tuple[float, int]:
            waiting = [
                asyncio.create_task(asker.ask(new_question(200), timeout_seconds=60))
                for _ in range(16)
            ]
            while Ledger(stage.store).counters().accepted < len(waiting):
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            loop = asyncio.get_running_loop()
            await asyncio.to_thread(stage.redis.wipe)
            wiped = loop.time()
            await asyncio.wait_for(asyncio.gather(*waiting), 60)
            took = loop.time() - wiped
            status = 0
            while status != 200 and loop.time() - wiped < 30:
                status = (await asker.ask(new_question(3), timeout_seconds=10)).status
            await asker.close()
            return took, status

        took, status = asyncio.run(play())
    told = [reply.code for reply in asker.replies[:16]]
    return Outcome(
        "Redis wiped",
        "every open ask ends in an error that says so, no hang",
        told == ["store_lost"] * 16 and took < 5 and status == 200,
        {
            "open": 16,
            "told_store_lost": told.count("store_lost"),
            "last_told_after_s": round(took, 2),
            "next_ask_status": status,
        },
        notes=sorted({code for code in told if code != "store_lost"}),
    )
