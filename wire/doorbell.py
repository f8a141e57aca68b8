"""One subscriber per gateway process that wakes whoever waits for an ask's next event.

A bell may be missed (a restart, a full buffer): waiters look by themselves every second. What
the events say is not known here.
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


class Doorbell:
    """Waiters by ask_id; `start` and `close` belong to the process' life."""

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
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._expected: dict[str, tuple[float, asyncio.Event]] = {}
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
        bell = asyncio.Event()
        self._expected[ask_id] = (now, bell)
        self._waiters.setdefault(ask_id, set()).add(bell)

    def forget(self, ask_id: str) -> asyncio.Event | None:
        """No longer expect an ask; the bell that was hung up for it."""
        found = self._expected.pop(ask_id, None)
        if found is not None:
            self._leave(ask_id, found[1])
        return found[1] if found else None

    def _leave(self, ask_id: str, bell: asyncio.Event) -> None:
        mine = self._waiters[ask_id]
        mine.discard(bell)
        if not mine:
            del self._waiters[ask_id]

    @asynccontextmanager
    async def ear(self, ask_id: str) -> AsyncGenerator[asyncio.Event]:
        """An event that is set at each bell for `ask_id`, and after each reconnection.

        It is set from the start, too, unless the ask was expected and no bell has rung since.
        """
        self.start()
        bell = self.forget(ask_id)
        if bell is None:
            bell = asyncio.Event()
            bell.set()
        self._waiters.setdefault(ask_id, set()).add(bell)
        try:
            yield bell
        finally:
            self._leave(ask_id, bell)

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

    def _wake(self, ask_id: str) -> None:
        for bell in self._waiters.get(ask_id, ()):
            bell.set()

    def _wake_all(self) -> None:
        for bells in self._waiters.values():
            for bell in bells:
                bell.set()
