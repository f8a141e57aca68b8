"""One subscriber per gateway process that wakes whoever waits for an ask's next event.

A bell tells short events itself. It may be missed (a restart, a full buffer): waiters look by
themselves every second. What the events say is not known here.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import redis.asyncio
from redis.exceptions import RedisError

from wire.settings import WireSettings

BELL_WAIT_SECONDS = 5.0
RESUBSCRIBE_SECONDS = 0.5
EXPECTED_SECONDS = 30.0
"""Between letting an ask in and following it lie milliseconds; a caller may leave in between."""
MOST_UNHEARD = 256
RECHECK_SECONDS = 1.0

Rows = list[tuple[str, str]]
"""Ids of events and what they say, oldest first."""


class Ear:
    """What the bells of one ask have told, until somebody takes it."""

    def __init__(self, *, look: bool) -> None:
        self._rung = asyncio.Event()
        self._told: list[tuple[str, Rows]] = []
        self._look = look
        if look:
            self._rung.set()

    def ring(self, before: str | None = None, rows: Rows | None = None) -> None:
        """A bell: these events came after the one with the id `before`; None: go and look."""
        if before is None or rows is None or len(self._told) >= MOST_UNHEARD:
            self._look = True
        else:
            self._told.append((before, rows))
        self._rung.set()

    async def rows_after(self, last: str) -> Rows | None:
        """Wait, then give the events after the one with the id `last`; None: go and look.

        Without a bell that is said after a second. No events: a bell told only known ones.
        """
        if not self._rung.is_set():
            try:
                async with asyncio.timeout(RECHECK_SECONDS):
                    await self._rung.wait()
            except TimeoutError:
                self._look = True
        self._rung.clear()
        (look, self._look), (told, self._told) = (self._look, False), (self._told, [])
        if look:
            return None
        fresh: Rows = []
        for before, rows in told:
            if before == last:
                fresh += rows
                last = rows[-1][0]
            elif _order(rows[-1][0]) > _order(last):
                return None  # one in between was missed
        return fresh


def _order(event_id: str) -> tuple[int, int]:
    ms, _, number = event_id.partition("-")
    return int(ms), int(number or 0)


class Doorbell:
    """Ears by ask_id; the first one starts the listening, `close` ends it."""

    def __init__(self, settings: WireSettings) -> None:
        self._channel = f"{settings.namespace}:doorbell"
        self._client: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
            settings.durable_url,
            decode_responses=True,
            socket_connect_timeout=settings.connect_timeout_seconds,
            # Must exceed the blocking read below, or an idle bell looks like a dead server.
            socket_timeout=BELL_WAIT_SECONDS + 5,
            socket_keepalive=True,
            health_check_interval=10,
            protocol=3,
            client_name="myopia-doorbell",
        )
        self._ears: dict[str, set[Ear]] = {}
        self._expected: dict[str, tuple[float, Ear]] = {}
        self._listening: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen in a task of the running loop; repeated calls do nothing."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), name="doorbell")

    async def close(self) -> None:
        """Stop listening."""
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
            self._listening = None
        await self._client.aclose()

    def expect(self, ask_id: str) -> None:
        """Hear bells for an ask that is not let in yet, until the first `ear` takes over.

        Whoever never listens is forgotten after a while.
        """
        self.start()
        now = time.monotonic()
        while self._expected:
            oldest, (since, _) = next(iter(self._expected.items()))
            if now - since < EXPECTED_SECONDS:
                break
            self.forget(oldest)
        self._expected[ask_id] = (now, self._hang(ask_id, look=False))

    def forget(self, ask_id: str) -> None:
        """No longer expect an ask."""
        found = self._expected.pop(ask_id, None)
        if found is not None:
            self._take_down(ask_id, found[1])

    @asynccontextmanager
    async def ear(self, ask_id: str) -> AsyncGenerator[Ear]:
        """Hear of an ask's events; unless it was expected, the first word is to go and look."""
        self.start()
        _, ear = self._expected.pop(ask_id, (0.0, None))
        ear = ear or self._hang(ask_id, look=True)
        try:
            yield ear
        finally:
            self._take_down(ask_id, ear)

    def _hang(self, ask_id: str, *, look: bool) -> Ear:
        ear = Ear(look=look)
        self._ears.setdefault(ask_id, set()).add(ear)
        return ear

    def _take_down(self, ask_id: str, ear: Ear) -> None:
        mine = self._ears[ask_id]
        mine.discard(ear)
        if not mine:
            del self._ears[ask_id]

    async def _listen(self) -> None:
        while True:
            try:
                async with self._client.pubsub() as subscription:
                    await subscription.subscribe(self._channel)
                    self._wake_all()
                    while True:
                        message = await subscription.get_message(
                            ignore_subscribe_messages=True, timeout=BELL_WAIT_SECONDS
                        )
                        if message is not None:
                            self._wake(message["data"])
            except (RedisError, OSError):
                await asyncio.sleep(RESUBSCRIBE_SECONDS)

    def _wake(self, told: str) -> None:
        """One bell: an ask's id alone, or on lines also the id before, and ids and events."""
        ask_id, _, rest = told.partition("\n")
        ears = self._ears.get(ask_id)
        if not ears:
            return
        before, *flat = rest.split("\n")
        rows = list(zip(flat[::2], flat[1::2], strict=False))
        for ear in ears:
            if rows and len(flat) % 2 == 0:
                ear.ring(before, rows)
            else:
                ear.ring()

    def _wake_all(self) -> None:
        for ears in self._ears.values():
            for ear in ears:
                ear.ring()
