"""A gateway dies under its callers; another one goes on where it stopped."""

import asyncio
import json
from dataclasses import dataclass, field

import httpx

from tests.system.chaos.askers import PICTURE, HttpAsker, new_question
from tests.system.chaos.scene import Measure, Outcome
from tests.system.chaos.stage import Plan, staged
from tests.worker.fake_engine import expected_answer
from wire.ledger import Ledger

CALLERS = 8


@dataclass
class Listener:
    """One stream, over as many gateways as it takes."""

    question: str
    text: str = ""
    last_id: str = ""
    ids: list[str] = field(default_factory=list)
    answer: str | None = None
    failed: str | None = None

    async def listen(self, client: httpx.AsyncClient, url: str) -> None:
        if self.last_id:
            path = f"{url}/v1/asks/{self.last_id.partition('/')[0]}/events"
            request = client.stream("GET", path, headers={"Last-Event-ID": self.last_id})
        else:
            body = {"question": self.question, "images": [{"data": PICTURE}], "stream": True}
            request = client.stream("POST", f"{url}/v1/ask", json=body)
        try:
            async with request as response:
                if response.status_code != 200:
                    self.failed = str(response.status_code)
                    return
                await self._read(response)
        except httpx.HTTPError:
            return

    async def _read(self, response: httpx.Response) -> None:
        event: dict[str, str] = {}
        async for line in response.aiter_lines():
            name, _, value = line.partition(": ")
            if line:
                event[name] = value
                continue
            if "id" in event:
                self.last_id = event["id"]
                self.ids.append(event["id"])
            if event.get("event") == "token":
                self.text += json.loads(event["data"])["text"]
            elif event.get("event") == "done":
                self.answer = json.loads(event["data"])["answer"]
            elif event.get("event") == "failed":
                self.failed = event["data"]
            event = {}

    @property
    def is_whole(self) -> bool:
        wanted = expected_answer(self.question)
        return self.text == wanted == self.answer and len(set(self.ids)) == len(self.ids)


def kill_gateway(measure: Measure) -> Outcome:
    """kill -9 a gateway while callers wait and stream; streams resume on the other one."""
    plan = Plan(workers=2, gateways=2, step_ms=50, lease_seconds=measure.lease_seconds)
    rounds = measure.times(5, 1)
    whole = resumed = done = asked = 0
    notes: list[str] = []
    with staged(plan, measure.folder / "gateway") as stage:
        ledger = Ledger(stage.store)

        async def play(accepted: int) -> list[Listener]:
            first, second = stage.gateways
            waiting = HttpAsker(first.url)
            listeners = [Listener(new_question(60)) for _ in range(CALLERS)]
            async with httpx.AsyncClient(timeout=60) as client:
                tasks = [asyncio.create_task(one.listen(client, first.url)) for one in listeners]
                calls = [asyncio.create_task(waiting.ask(new_question(60))) for _ in range(4)]
                while ledger.counters().accepted < accepted:
                    await asyncio.sleep(0.05)
                while not all(
                    one.ids or task.done() for one, task in zip(listeners, tasks, strict=True)
                ):
                    await asyncio.sleep(0.05)
                first.kill()
                await asyncio.gather(*tasks, *calls)
                await asyncio.gather(*(one.listen(client, second.url) for one in listeners))
            await waiting.close()
            return listeners

        for number in range(rounds):
            listeners = asyncio.run(play((number + 1) * (CALLERS + 4)))
            whole += sum(one.is_whole for one in listeners)
            resumed += sum(bool(one.ids) for one in listeners)
            notes += [str(one.failed or one.text) for one in listeners if not one.is_whole][:2]
            stage.gateways[0].start()
            asyncio.run(_until_ready(stage.gateways[0].is_ready))
        asked = rounds * (CALLERS + 4)
        until = 100
        while ledger.counters().open and until:
            asyncio.run(asyncio.sleep(0.2))
            until -= 1
        totals = ledger.counters()
        done = totals.done
    return Outcome(
        "gateway kill -9 while callers wait and stream",
        "every ask completes; streams resume elsewhere, no gap, no repeat",
        whole == rounds * CALLERS and done == asked == totals.accepted,
        {
            "rounds": rounds,
            "asks": asked,
            "done": done,
            "streams_resumed": resumed,
            "streams_whole": whole,
        },
        notes=notes,
    )


async def _until_ready(is_ready: object) -> None:
    assert callable(is_ready)
    for _ in range(200):
        if await asyncio.to_thread(is_ready):
            return
        await asyncio.sleep(0.1)
