"""What one gateway process holds open: the way to ledger, mailbox, queue, answers and workers.

Made inside the event loop at start, closed with it. Decides nothing about an ask.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog
from anyio import CapacityLimiter

from service.crowd import Crowd, no_room
from service.fetch import Fetcher
from service.keys import Key, Keys
from service.metrics import Metrics
from service.pace import Pace
from service.problems import Problem
from service.settings import Settings
from service.shelf import Shelf
from service.sweeping import sweep_forever
from service.webhooks import Webhooks
from wire.answers import AsyncAnswers
from wire.errors import StoreUnavailable
from wire.ledger import AsyncLedger
from wire.mailbox import AsyncMailbox
from wire.publisher import Publisher
from wire.queue import Queue
from wire.records import Record, Room
from wire.store import AsyncStore, in_wire_errors
from wire.workers import AsyncFleet, Fleet

T = TypeVar("T")
RESUMED_SECONDS = 600  # How long a resumption is remembered if the leave that it voids never comes.
CLOSE_SECONDS = 2.0  # Each step of stopping: a gateway that hangs at its end blocks a roll-out.
log = structlog.get_logger(__name__)


class Desk:
    """The live objects of one gateway; routes reach everything through it."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.store = AsyncStore(settings)
        self.ledger = AsyncLedger(self.store)
        self.mailbox = AsyncMailbox(self.store)
        self.answers = AsyncAnswers(self.store)
        self.queue = Queue(settings)
        self.postcard = self.queue.postcard()
        self.publisher = Publisher(self.queue)
        self.shelf = Shelf(self.store, self.mailbox)
        self.fetcher = Fetcher(settings)
        self.webhooks = Webhooks(self.store, self.mailbox, self.ledger, settings)
        self.pace = Pace(self.store)
        self.keys = Keys(settings.api_keys_file) if settings.api_keys_file else None
        self.decoding = CapacityLimiter(settings.decode_threads)
        self.crowd = Crowd()
        self.inflight = 0
        self.held_bytes = 0
        self._workers = AsyncFleet(self.store)
        self._seen: tuple[float, Fleet] | None = None
        self._looking: asyncio.Task[Fleet] | None = None
        self._chores: set[asyncio.Task[Any]] = set()

    async def fleet(self) -> Fleet:
        """The live workers, as they were at most `fleet_fresh_seconds` ago."""
        now = time.monotonic()
        if self._seen is not None and now - self._seen[0] <= self.settings.fleet_fresh_seconds:
            return self._seen[1]
        if self._looking is None or self._looking.done():  # a crowd looks once, together
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(_looked)
        return await asyncio.shield(self._looking)

    async def _look(self) -> Fleet:
        began = time.monotonic()
        fleet = await self._workers.live()
        self._seen = (began, fleet)
        return fleet

    async def record(self, ask_id: str) -> Record | None:
        """An ask's record, with its place in line while it waits."""
        return await self.ledger.get(ask_id, await self.fleet())

    def check_inflight(self) -> None:
        """Raise Problem when this gateway waits for as many asks as it may."""
        limit = self.settings.max_inflight_asks
        if self.inflight >= limit:
            detail = f"This gateway works for {limit} asks already; try again shortly."
            raise Problem("overloaded", detail, limit=limit)

    async def check_room(self, key: Key, patience_seconds: float) -> None:
        """Raise Problem for an ask that would be refused after all its pictures were dealt with."""
        self.check_inflight()
        if not self.crowd.check(key.owner, patience_seconds):
            return
        room = self.room(await self.fleet(), key.max_open_asks, patience_seconds)
        refused = await self.ledger.refusal(key.owner, patience_seconds, room)
        if refused is not None:
            self.crowd.note(key.owner, refused, patience_seconds)
            raise no_room(refused)

    def room(self, fleet: Fleet, max_open: int | None, patience_seconds: float) -> Room:
        """What the ledger may let in, for an ask of a key that may have `max_open` asks open."""
        most = self.settings.max_queued_asks
        return Room(
            max_open=most,
            max_open_per_tenant=max_open or most,
            max_wait_seconds=max(0.0, patience_seconds),
            slots=fleet.slots,
            service_seconds=fleet.service_seconds,
        )

    @contextlib.contextmanager
    def holding(self, declared_bytes: str | None) -> Generator[None]:
        """Count a body against the bytes that this gateway holds in memory at once."""
        limit = self.settings.max_held_bytes
        size = self.settings.max_body_bytes
        if declared_bytes is not None and declared_bytes.isdigit():
            size = min(size, int(declared_bytes))
        if self.held_bytes + size > limit:
            detail = "This gateway is reading as many bytes as it may; send it again shortly."
            raise Problem("overloaded", detail, limit=limit, actual=self.held_bytes + size)
        self.held_bytes += size
        try:
            yield
        finally:
            self.held_bytes -= size

    async def send(self, ask_id: str) -> bool:
        """Tell a worker to look; without a broker (False) the reaper will, once it is back."""
        try:
            await self.queue.asend(ask_id)
        except StoreUnavailable:
            log.warning("message not sent; the reaper will send it", ask_id=ask_id)
            return False
        return True

    def chore(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do something that must outlive the request it belongs to."""
        task = asyncio.create_task(work)
        self._chores.add(task)
        task.add_done_callback(self._chore_done)
        return task

    def _chore_done(self, task: asyncio.Task[Any]) -> None:
        self._chores.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("a chore failed", cause=type(task.exception()).__name__)

    async def leave(self, ask_id: str, grace_seconds: float = 0) -> None:
        """One asker has gone; the last one to go cancels the ask.

        Whoever was reading a stream has `grace_seconds` to come back, to any gateway.
        """
        await asyncio.sleep(grace_seconds)
        with contextlib.suppress(StoreUnavailable):  # its deadline ends it then
            if grace_seconds and await self._came_back(ask_id):
                return
            outcome = await self.ledger.cancel(ask_id)
            log.info("asker left", ask_id=ask_id, outcome=outcome)

    async def come_back(self, ask_id: str) -> None:
        """Somebody goes on with a broken stream: the leave that is on its way is void."""
        name = f"{self.settings.namespace}:resumed:{ask_id}"
        with in_wire_errors():
            pipe = self.store.text.pipeline(transaction=True)
            pipe.incr(name)
            pipe.expire(name, RESUMED_SECONDS)
            await pipe.execute()

    async def _came_back(self, ask_id: str) -> bool:
        name = f"{self.settings.namespace}:resumed:{ask_id}"
        with in_wire_errors():
            if int(await self.store.text.decr(name)) >= 0:
                return True
            await self.store.text.delete(name)
        return False

    async def reap(self) -> None:
        """End asks whose time is up and send again what was lost."""
        fleet = await self.fleet()
        reaped = await self.ledger.reap(idle=fleet.idle)
        for ask_id in reaped.resend:
            if not await self.send(ask_id):
                return  # what is left is missed again in a second

    async def reap_forever(self) -> None:
        """Reap each second; every gateway does, so that asks end even where no worker lives."""
        while True:
            await asyncio.sleep(self.settings.reap_interval_seconds)
            try:
                await self.reap()
            except StoreUnavailable:
                log.debug("nothing reaped: the store is away")

    async def close(self) -> None:
        """Finish chores and close connections."""
        if self._chores:
            await asyncio.wait(self._chores, timeout=CLOSE_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.mailbox.close()
        await asyncio.to_thread(self.publisher.close)
        await self.store.close()
        self.queue.close()


@asynccontextmanager
async def opened(settings: Settings, metrics: Metrics) -> AsyncGenerator[Desk]:
    """A desk with its rounds running, closed at the end."""
    desk = Desk(settings, metrics)
    rounds = [
        asyncio.create_task(desk.reap_forever(), name="reaper"),
        asyncio.create_task(desk.webhooks.deliver_forever(), name="webhooks"),
        asyncio.create_task(sweep_forever(desk.mailbox), name="sweeper"),
    ]
    for task in rounds:
        task.add_done_callback(_round_done)
    try:
        yield desk
    finally:
        for task in rounds:
            task.cancel()
        await asyncio.wait(rounds, timeout=CLOSE_SECONDS)
        await desk.close()


def _looked(task: asyncio.Task[Fleet]) -> None:
    """Hear a failure also where everybody who waited for the look has left."""
    if not task.cancelled():
        task.exception()


def _round_done(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.critical(
            "a round of this gateway ended", round=task.get_name(), exc_info=task.exception()
        )
