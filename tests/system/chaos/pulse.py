"""What the machine itself adds: a process that does nothing, asked all the while a scene plays.

A scene's own figures are told as they are, and judged less what the bare echo took at the same
moment: on an idle machine that is a few milliseconds. The echo shares cores with the gateway and
the harness with both, but no event loop with the gateway: what that does wrong is not excused.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx

from tests.redis_server import free_port
from tests.system.chaos.books import percentile
from tests.worker.processes import ROOT

PAUSE_SECONDS = 0.05
START_SECONDS = 60.0


@dataclass
class Pulse:
    """Moments (monotonic) at which the echo was asked, and the seconds until it answered."""

    beats: list[tuple[float, float]] = field(default_factory=list)

    def p99(self) -> float:
        return percentile(sorted(seconds for _, seconds in self.beats), 0.99)

    def worst(self, since: float, until: float) -> float:
        """The slowest beat of those that were on their way in this span."""
        return max(
            (seconds for at, seconds in self.beats if at < until and at + seconds > since),
            default=0.0,
        )


@contextlib.asynccontextmanager
async def pulsing() -> AsyncIterator[Pulse]:
    """Beat beside whatever the block does."""
    port, pulse = free_port(), Pulse()
    words = [sys.executable, "-m", "tests.system.chaos.echo", str(port)]
    echo = subprocess.Popen(words, cwd=ROOT)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        await _until_up(client)

        async def beat() -> None:
            while True:
                began = time.monotonic()
                await client.get("/")
                pulse.beats.append((began, time.monotonic() - began))
                await asyncio.sleep(PAUSE_SECONDS)

        beating = asyncio.create_task(beat())
        try:
            yield pulse
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
                await beating
            echo.kill()
            echo.wait()


async def _until_up(client: httpx.AsyncClient) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while True:
        try:
            await client.get("/")
            return
        except httpx.TransportError:
            if time.monotonic() > give_up_at:
                raise
            await asyncio.sleep(0.1)
