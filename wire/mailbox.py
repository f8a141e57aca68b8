"""Pictures in, events out: bytes under their SHA-256, and one Redis stream of events per ask.

The ids of events are the stream's, so `Last-Event-ID` resumes on any gateway. Events are only
added by the ledger's scripts (fenced); here they are read. HTTP and pixels are not known here.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Any

from wire.calls import Call
from wire.doorbell import Doorbell, Rows
from wire.errors import AskLost, StoreUnavailable
from wire.messages import EVENT, Done, Failed, Token
from wire.pictures import AsyncPictures, Pictures
from wire.records import OPEN
from wire.store import AsyncStore, Store, in_wire_errors

FROM_START = "0-0"
RETRY_SECONDS = 0.2
EVENTS_PER_READ = 256


class Mailbox:
    """The worker's side: fetch pictures."""

    def __init__(self, store: Store) -> None:
        self._pictures = Pictures(store)

    def picture(self, digest: str) -> bytes | None:
        """The bytes with this SHA-256, None when they are not (or no longer) here."""
        return self._pictures.get(digest)

    def put_picture(self, data: bytes) -> str:
        """As `AsyncMailbox.put_picture`."""
        return self._pictures.put(data)


class AsyncMailbox:
    """The gateway's side: put pictures, read events. `close` it with the process."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._settings = store.settings
        self._pictures = AsyncPictures(store)
        self._events = f"{store.settings.namespace}:events:"
        self._records = f"{store.settings.namespace}:ask:"
        self._doorbell = Doorbell(store.settings)

    async def put_picture(self, data: bytes, digest: str | None = None) -> str:
        """Keep the bytes and return their SHA-256 in hex; `digest`: when the caller has it.

        Never pass a digest that came from a client: it is the key under which others ask.
        """
        digest = digest or hashlib.sha256(data).hexdigest()
        await self._pictures.put({digest: data})
        return digest

    async def put_pictures(self, pictures: Mapping[str, bytes]) -> None:
        """As `put_picture`, several by their digests at once."""
        await self._pictures.put(pictures)

    async def missing(self, digests: Collection[str]) -> tuple[str, ...]:
        """Those of `digests` that are not here; the others' time starts anew."""
        return await self._pictures.missing(digests)

    async def picture(self, digest: str, first_bytes: int | None = None) -> bytes | None:
        """The bytes, or only the first of them (a header); None when they are not here."""
        return await self._pictures.get(digest, first_bytes)

    async def open(self) -> None:
        """Get ready for a bucket, where there is one."""
        await self._pictures.open()

    async def sweep(self) -> int:
        """Remove pictures from the bucket (where there is one) whose time is up; how many."""
        return await self._pictures.sweep()

    def expect(self, ask_id: str) -> None:
        """Say before an ask is let in that its `events` will be read from the start.

        Then they need not be looked for before the first bell rings.
        """
        self._doorbell.expect(ask_id)

    def forget(self, ask_id: str) -> None:
        """An ask that was expected was not let in."""
        self._doorbell.forget(ask_id)

    async def events(
        self, ask_id: str, after: str = FROM_START
    ) -> AsyncGenerator[tuple[str, Token | Done | Failed]]:
        """Yield `(id, event)` after the given id, up to and with the one ending.

        Rides out a store that is down for `patience_seconds`, then `StoreUnavailable`; an ask
        whose record is gone raises `AskLost`. Never waits by itself for a deadline: the reaper
        ends every ask whose time is up. Starting after the ending yields nothing.
        """
        down_since: float | None = None
        async with self._doorbell.ear(ask_id) as ear:
            while True:
                try:
                    told = await ear.rows_after(after) if down_since is None else None
                    state, rows = (
                        await self._read(ask_id, after) if told is None else ("running", told)
                    )
                    down_since = None
                except StoreUnavailable:
                    now = time.monotonic()
                    down_since = down_since or now
                    if now - down_since > self._settings.patience_seconds:
                        raise
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                for after, text in rows:  # noqa: PLR1704  the last id is the next start
                    event = EVENT.validate_json(text)
                    yield after, event
                    if event.kind != "token":
                        return
                if state is None:
                    raise AskLost(ask_id)
                if state not in OPEN and not rows:
                    return
                if len(rows) == EVENTS_PER_READ:
                    ear.ring()  # there may be more

    async def ending(self, ask_id: str) -> Done | Failed | None:
        """The ending of an ask, None while it is open (or long forgotten)."""
        with in_wire_errors():
            last: Any = await self._store.text.xrevrange(self._events + ask_id, count=1)
            if not last:  # perhaps a stored answer, given to several
                told = await self._store.text.hget(self._records + ask_id, "told")
                last = told and await self._store.text.xrevrange(self._events + str(told), count=1)
        if not last:
            return None
        event = EVENT.validate_json(last[0][1]["e"])
        return None if event.kind == "token" else event

    async def close(self) -> None:
        """Stop listening for events, and close the connections to a bucket."""
        await self._doorbell.close()
        await self._pictures.close()

    async def _read(self, ask_id: str, after: str) -> tuple[str | None, Rows]:
        state, *flat = await self._store.run(Call("events", (ask_id, after, EVENTS_PER_READ), list))
        return state or None, list(zip(flat[::2], flat[1::2], strict=True))
