"""A half-open network: packets vanish, nobody is told. Needs root and network namespaces."""

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from pydantic import SecretStr

from tests.redis_server import RedisServer, find_binary
from tests.system.chaos.askers import LedgerAskers
from tests.system.chaos.books import Books, figures
from tests.system.chaos.scene import Measure, Outcome
from tests.worker.processes import WorkerProcess, wait_for
from wire.settings import WireSettings
from wire.store import Store
from wire.workers import Heartbeat

NAME = f"myopia{os.getpid() % 10000}"
HOST, GUEST = "10.213.77.1", "10.213.77.2"


def run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)


def in_namespace(*words: str) -> None:
    run("ip", "netns", "exec", NAME, *words)


@contextmanager
def namespace() -> Iterator[None]:
    """A network of its own, joined to this one by a pair of devices."""
    run("ip", "netns", "add", NAME)
    try:
        run("ip", "link", "add", f"{NAME}h", "type", "veth", "peer", "name", f"{NAME}g")
        run("ip", "link", "set", f"{NAME}g", "netns", NAME)
        run("ip", "addr", "add", f"{HOST}/30", "dev", f"{NAME}h")
        run("ip", "link", "set", f"{NAME}h", "up")
        in_namespace("ip", "addr", "add", f"{GUEST}/30", "dev", f"{NAME}g")
        in_namespace("ip", "link", "set", f"{NAME}g", "up")
        in_namespace("ip", "link", "set", "lo", "up")
        yield
    finally:
        # a namespace ends some time after its deletion, and its devices with it: their names
        # would still be taken when the next one is made
        for end in (("ip", "link", "del", f"{NAME}h"), ("ip", "netns", "del", NAME)):
            with suppress(subprocess.CalledProcessError):
                run(*end)


class DistantWorker(WorkerProcess):
    """A worker inside the namespace."""

    def command(self) -> list[str]:
        return ["ip", "netns", "exec", NAME, *super().command()]


def why_not() -> str:
    """Why this machine cannot run the scene; empty when it can."""
    if os.geteuid() != 0:
        return "not root"
    for tool in ("ip", "iptables"):
        if shutil.which(tool) is None:
            return f"no {tool}"
    try:
        with namespace():
            in_namespace("iptables", "-A", "OUTPUT", "-p", "tcp", "--dport", "1", "-j", "DROP")
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {error.stderr.decode()[:100].strip()}"
    return ""


def half_open(measure: Measure) -> Outcome:
    """Drop every packet of one worker for a while; another one takes over, then it is back."""
    seconds = measure.seconds(60, 8)
    title = f"half-open network for {seconds:g} s"
    wanted = "recovers <= 55 s, no double finish, lost 0"
    reason = why_not()
    if reason:
        return Outcome(title, wanted, False, {}, skipped=reason)
    binary = find_binary()
    assert binary is not None
    folder = measure.folder / "network"
    folder.mkdir(parents=True, exist_ok=True)
    books = Books()
    with namespace():
        redis = RedisServer(folder, binary=binary, host=HOST)
        redis.start()
        settings = WireSettings(redis_url=SecretStr(redis.url), lease_seconds=measure.lease_seconds)
        near = WorkerProcess(settings, folder, FAKE_STEP_MS=40).start()
        far = DistantWorker(settings, folder, FAKE_STEP_MS=40).start()
        store = Store(settings)
        heart = Heartbeat(store)
        try:
            wait_for(lambda: len(heart.live().cards) == 2, 60, "two workers")

            async def play() -> float:
                askers = LedgerAskers(settings, books, outstanding=32, steps=10)
                askers.begin()
                await asyncio.sleep(2)
                in_namespace("iptables", "-A", "OUTPUT", "-j", "DROP")
                in_namespace("iptables", "-A", "INPUT", "-j", "DROP")
                await asyncio.sleep(seconds)
                lone = len(heart.live().cards)
                in_namespace("iptables", "-F")
                back_at = time.monotonic()
                assert lone == 1, "the worker's card should have gone"
                while not _works(heart) and time.monotonic() - back_at < 60:
                    await asyncio.sleep(0.1)
                recovered = time.monotonic() - back_at
                await asyncio.sleep(2)
                await askers.end()
                return recovered

            recovered = asyncio.run(play())
            verdict = books.close(settings)
            alive = far.is_alive and near.is_alive
        finally:
            near.kill()
            far.kill()
            store.close()
            redis.kill()
    return Outcome(
        title,
        wanted,
        verdict.is_clean and recovered <= 55 and alive,
        {**figures(verdict), "recovered_after_s": round(recovered, 2), "workers_alive": alive},
    )


def _works(heart: Heartbeat) -> bool:
    cards = heart.live().cards
    return len(cards) == 2 and all(card.running for card in cards)
