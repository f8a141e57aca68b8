"""Too many asks, the same ask many times, and many different ones for long."""

import asyncio
import time
from pathlib import Path

import httpx

from service import keys
from tests.system.chaos.askers import HttpAsker, LedgerAskers, Reply, new_question, picture_bytes
from tests.system.chaos.books import Books, percentile
from tests.system.chaos.pulse import Pulse, pulsing
from tests.system.chaos.scene import Measure, Outcome
from tests.system.chaos.stage import Plan, Stage, staged

STEPS = 4
PROCESSES = ("worker", "gateway")


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def processes(stage: Stage) -> dict[str, int]:
    found = {"worker": stage.workers[0].process, "gateway": stage.gateways[0].process}
    return {name: process.pid for name, process in found.items() if process is not None}


def identical_asks(measure: Measure) -> Outcome:
    """A hundred callers ask the same at once."""
    plan = Plan(workers=2, gateways=1, lease_seconds=measure.lease_seconds)
    with staged(plan, measure.folder / "identical") as stage:
        asker = HttpAsker(stage.gateways[0].url)

        async def ask(question: str) -> Reply:
            for _ in range(10):  # a slow machine refuses some of such a burst for a moment
                reply = await asker.ask(question)
                if reply.status not in (429, 503):
                    break
                await asyncio.sleep(0.5)
            return reply

        async def play() -> list[Reply]:
            question = new_question(20)
            replies = await asyncio.gather(*(ask(question) for _ in range(100)))
            await asker.close()
            return replies

        replies = asyncio.run(play())
        runs = len(stage.run_log.read_text().splitlines())
    good = sum(reply.status == 200 for reply in replies)
    answers = len({reply.answer for reply in replies})
    return Outcome(
        "100 identical asks at once",
        "one engine run",
        runs == 1 and good == 100 and answers == 1,
        {
            "asks": 100,
            "answered": good,
            "refused_at_first": len(asker.replies) - 100,
            "different_answers": answers,
            "engine_runs": runs,
        },
        notes=sorted({f"{r.status} {r.code}" for r in asker.replies if r.status != 200}),
    )


def write_keys(folder: Path) -> tuple[Path, dict[str, str]]:
    """A file of two keys, made as an operator's command makes them."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "keys.json"
    return path, {name: keys.make(path, {"name": name}) for name in ("heavy", "light")}


class Crowd:
    """Sends asks at a steady rate, whatever becomes of the earlier ones."""

    def __init__(self, asker: HttpAsker, per_second: float, timeout_seconds: float) -> None:
        self._asker, self._per_second, self._timeout = asker, per_second, timeout_seconds
        self._sent: set[asyncio.Task[object]] = set()

    async def push(self, seconds: float) -> None:
        began = time.monotonic()
        for number in range(int(seconds * self._per_second)):
            await asyncio.sleep(max(0.0, began + number / self._per_second - time.monotonic()))
            ask = self._asker.ask(new_question(STEPS), timeout_seconds=self._timeout)
            task: asyncio.Task[object] = asyncio.create_task(ask)
            self._sent.add(task)
            task.add_done_callback(self._sent.discard)
        await asyncio.gather(*self._sent)


async def measure_capacity(stage: Stage, seconds: float) -> float:
    """Asks per second that the workers answer with always enough to do."""
    books = Books()
    askers = LedgerAskers(stage.settings, books, outstanding=3 * stage.slots, steps=STEPS)
    askers.begin()
    await asyncio.sleep(3)
    before = len(books.took())
    await asyncio.sleep(seconds)
    answered = len(books.took()) - before
    await askers.end()
    return answered / seconds


def overload(measure: Measure) -> Outcome:
    """Ten times what the workers can do, from one heavy caller, beside a light one."""
    path, secrets = write_keys(measure.folder / "overload")
    plan = Plan(
        workers=1,
        gateways=1,
        concurrency=4,
        step_ms=300,
        lease_seconds=measure.lease_seconds,
        gateway={"MYOPIA_API_KEYS_FILE": path},
    )
    seconds = measure.seconds(120, 12)
    with staged(plan, measure.folder / "overload") as stage:
        before_it = asyncio.run(measure_capacity(stage, measure.seconds(20, 8)))
        url = stage.gateways[0].url
        heavy, light = HttpAsker(url, secrets["heavy"]), HttpAsker(url, secrets["light"])
        alone = HttpAsker(url, secrets["light"])

        async def play() -> tuple[float, float, float, Pulse]:
            for _ in range(10 if measure.scale < 1 else 50):
                await alone.ask(new_question(STEPS))
            asking = True
            before = sum(map(resident_mib, processes(stage).values()))
            beside = asyncio.create_task(light.keep_asking(lambda: asking, STEPS, 0.2))
            began = time.monotonic()
            async with pulsing() as pulse:
                await Crowd(heavy, 10 * before_it, 8).push(seconds)
            took = time.monotonic() - began
            after = sum(map(resident_mib, processes(stage).values()))
            asking = False
            await beside
            for asker in (heavy, light, alone):
                await asker.close()
            return took, before, after, pulse

        took, before, after, pulse = asyncio.run(play())
        after_it = asyncio.run(measure_capacity(stage, measure.seconds(20, 8)))
    capacity = (before_it + after_it) / 2
    good = [r for r in (*heavy.replies, *light.replies) if r.status == 200]
    refusals = sorted(r.seconds for r in heavy.replies if r.status in (429, 503))
    with_time = sum(bool(r.retry_after) for r in heavy.replies if r.status in (429, 503))
    other = [r for r in heavy.replies if r.status not in (200, 429, 503)]
    goodput = len(good) / took / capacity
    usual = percentile(sorted(r.seconds for r in alone.replies), 0.99)
    beside_p99 = percentile(sorted(r.seconds for r in light.replies), 0.99)
    refused_light = sum(r.status != 200 for r in light.replies)
    refusal, noise = percentile(refusals, 0.99), pulse.p99()
    return Outcome(
        f"10x overload for {seconds:g} s",
        "goodput >= 90 %, refusals with Retry-After, p99 <= 50 ms over a bare echo's, memory flat, "
        "light p99 <= 2x",
        goodput >= 0.9
        and refusal - noise <= 0.05
        and with_time == len(refusals) > 0
        and not other
        and not refused_light
        and after <= 1.1 * before
        and beside_p99 <= 2 * usual,
        {
            "capacity_before_per_s": round(before_it, 2),
            "capacity_after_per_s": round(after_it, 2),
            "offered_per_s": round(len(heavy.replies) / seconds, 1),
            "goodput_share": round(goodput, 3),
            "expired": sum(r.status == 504 for r in heavy.replies),
            "refused": len(refusals),
            "refusal_p50_ms": round(1000 * percentile(refusals, 0.5), 1),
            "refusal_p99_ms": round(1000 * refusal, 1),
            "echo_p99_ms": round(1000 * noise, 1),
            "memory_growth": round(after / before - 1, 3),
            "light_p99_s": round(beside_p99, 3),
            "light_alone_p99_s": round(usual, 3),
            "light_refused": refused_light,
        },
        notes=[f"{r.status} {r.code}" for r in other[:3]],
    )


def soak(measure: Measure) -> Outcome:
    """Distinct picture sets one after the other; memory, descriptors and keys must not grow."""
    count = measure.times(2000, 120)
    plan = Plan(
        workers=1,
        gateways=1,
        step_ms=1,
        lease_seconds=measure.lease_seconds,
        gateway={
            "MYOPIA_RECORD_TTL_SECONDS": 60,
            "MYOPIA_PICTURE_TTL_SECONDS": 60,
            "MYOPIA_ANSWER_TTL_SECONDS": 10,
        },
        worker={"MYOPIA_RECORD_TTL_SECONDS": 60},
    )
    marks: list[dict[str, float]] = []
    with staged(plan, measure.folder / "soak") as stage:

        def mark() -> None:
            row: dict[str, float] = {}
            for name, pid in processes(stage).items():
                row[f"{name}_mib"] = resident_mib(pid)
                row[f"{name}_files"] = open_files(pid)
            row["keys"] = float(stage.redis.client.dbsize())  # type: ignore[arg-type]
            marks.append(row)

        async def play() -> int:
            good = 0
            async with httpx.AsyncClient(base_url=stage.gateways[0].url, timeout=30) as client:
                gate = asyncio.Semaphore(4)

                async def one(number: int) -> int:
                    files = [
                        ("images", (f"{k}.png", picture_bytes(3 * number + k), "image/png"))
                        for k in range(3)
                    ]
                    async with gate:
                        answer = await client.post(
                            "/v1/ask", data={"question": new_question(2)}, files=files
                        )
                    return int(answer.status_code == 200)

                step = max(1, count // 10)
                pause = measure.seconds(12, 0)
                for start in range(0, count, step):
                    good += sum(await asyncio.gather(*map(one, range(start, start + step))))
                    await asyncio.sleep(pause)
                    mark()
            return good

        good = asyncio.run(play())
    # Warm-up apart: the second half against the middle.
    middle, last = marks[len(marks) // 2], marks[-1]
    growth = {name: last[name] - middle[name] for name in last}
    long_enough = measure.scale >= 1
    flat = all(growth[f"{name}_mib"] <= 8 and growth[f"{name}_files"] <= 8 for name in PROCESSES)
    return Outcome(
        f"soak: {count} distinct picture sets",
        "memory, descriptors and keys flat in the second half",
        good >= count and flat and (growth["keys"] <= 0.2 * middle["keys"] or not long_enough),
        {
            "sets": good,
            **{f"{name}_growth": round(value, 1) for name, value in growth.items()},
            **{name: round(value, 1) for name, value in last.items()},
        },
        notes=[] if long_enough else ["too short for keys to expire (60 s): growth only reported"],
    )
