"""The real engine and the pocket model: a worker dies in the middle of answers."""

import asyncio
import time

from tests.system.chaos.askers import HttpAsker
from tests.system.chaos.scene import Measure, Outcome
from tests.system.chaos.stage import Plan, staged
from wire.ledger import Ledger
from wire.store import Store

QUESTIONS = 12


def kill_pocket(measure: Measure) -> Outcome:
    """The same asks, once in peace and once under kills, must get the same answers."""
    plan = Plan(
        workers=2,
        gateways=1,
        lease_seconds=measure.lease_seconds,
        module="worker",
        worker={"OMP_NUM_THREADS": 1},
    )
    with staged(plan, measure.folder / "pocket") as stage:
        asker = HttpAsker(stage.gateways[0].url)

        async def ask_all() -> dict[str, str]:
            questions = [f"Which image shows a red circle? ({n})" for n in range(QUESTIONS)]
            params = {"cache": "off", "pruning": {"budget": 1.0}}
            replies = await asyncio.gather(*(asker.ask(q, **params) for q in questions))
            return {
                question: reply.answer if reply.status == 200 else reply.code
                for question, reply in zip(questions, replies, strict=True)
            }

        async def play() -> tuple[dict[str, str], dict[str, str]]:
            calm = await ask_all()
            asking = asyncio.create_task(ask_all())
            store = Store(stage.settings)
            ledger = Ledger(store)
            until = time.monotonic() + 10
            while not ledger.counters().running and time.monotonic() < until:
                await asyncio.sleep(0.005)
            for worker in stage.workers:
                stage.kill_worker(worker)
            store.close()
            return calm, await asking

        async def whole() -> tuple[dict[str, str], dict[str, str]]:
            try:
                return await play()
            finally:
                await asker.close()

        calm, stormy = asyncio.run(whole())
        store = Store(stage.settings)
        totals = Ledger(store).counters()
        store.close()
    same = sum(calm[question] == stormy[question] for question in calm)
    return Outcome(
        "pocket model: all workers killed in the middle of answers",
        "the same answers as in peace, lost 0",
        same == QUESTIONS and totals.done == 2 * QUESTIONS and totals.imbalance == 0,
        {"asks": 2 * QUESTIONS, "same": same, "done": totals.done, "leases": totals.lost_leases},
        notes=sorted(set(stormy.values()) - set(calm.values()))[:3],
    )
