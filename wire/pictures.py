"""Where pictures are kept, until when, and how they go: in the durable Redis, or in a bucket.

In Redis a picture is one key with a time to live. In a bucket the bytes are an object, and the
key is a mark of the same life without bytes: the scripts look at the mark alone, so what they
promise holds for both. Objects without a mark are swept. Nothing here knows what an ask says.
"""

import asyncio
import hashlib
import time
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from wire.calls import Call
from wire.errors import StoreUnavailable, WrongSetting
from wire.objects import Objects
from wire.settings import WireSettings
from wire.store import AsyncStore, Store, in_wire_errors

SWEEP_SECONDS = 10.0
"""How long one sweeper may take for what it took on; longer than every try of S3 together."""
MOST_SWEPT = 100
SWEPT_WAIT_SECONDS = 0.05
SWEPT_TRIES = 20


class Pictures:
    """The worker's side: read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._keys = f"{store.settings.namespace}:{store.settings.picture_keys}"
        self._objects = Blocking(store.settings) if store.settings.picture_url else None

    def get(self, digest: str) -> bytes | None:
        """The bytes with this SHA-256, None when they are not (or no longer) here."""
        if self._objects is not None:
            data = self._objects.get(digest)
            if (
                data is None
            ):  # somebody else removed it: who sends it again must not be told "known"
                with in_wire_errors():
                    self._store.raw.delete(self._keys + digest)
            return data
        with in_wire_errors():
            found: Any = self._store.raw.get(self._keys + digest)
        return None if found is None else bytes(found)

    def put(self, data: bytes) -> str:
        """Keep bytes in Redis; workers put nothing into buckets."""
        assert self._objects is None
        digest = hashlib.sha256(data).hexdigest()
        with in_wire_errors():
            ttl = self._store.settings.picture_ttl_seconds
            self._store.raw.set(self._keys + digest, data, ex=ttl)
        return digest


class AsyncPictures:
    """The gateway's side: put, look, read, sweep; for one event loop, `close` it with that."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._settings = store.settings
        self._keys = f"{store.settings.namespace}:{store.settings.picture_keys}"
        self._objects = Objects(store.settings) if store.settings.picture_url else None

    async def put(self, pictures: Mapping[str, bytes]) -> None:
        """Keep bytes under the SHA-256 that the caller made of them."""
        puts = [self._put(digest, data) for digest, data in pictures.items()]
        for failed in await asyncio.gather(*puts, return_exceptions=True):
            if isinstance(failed, BaseException):
                raise failed

    async def missing(self, digests: Collection[str]) -> tuple[str, ...]:
        """Those of `digests` that are not here; the others' time starts anew."""
        ordered = sorted(set(digests))
        if not ordered:
            return ()
        ttl = self._settings.picture_ttl_seconds * 1000
        gone = await self._store.run(
            Call("touch", (self._settings.picture_keys, ttl, *ordered), tuple)
        )
        return tuple(gone)

    async def get(self, digest: str, first_bytes: int | None = None) -> bytes | None:
        """The bytes, or only the first of them (a header); None when they are not here."""
        name = self._keys + digest
        if self._objects is not None:
            return await self._objects.get(digest, first_bytes)
        with in_wire_errors():
            data: Any = (
                await self._store.raw.get(name)
                if first_bytes is None
                else await self._store.raw.getrange(name, 0, first_bytes - 1)
            )
        return data or None

    async def sweep(self) -> int:
        """Remove objects whose time is up; how many. Any gateway may, at any time, several too."""
        if self._objects is None:
            return 0
        token, began = uuid.uuid4().hex, time.monotonic()
        marks, takes = self._settings.picture_keys, round(SWEEP_SECONDS * 1000)
        due = await self._store.run(Call("sweep", (marks, token, takes, MOST_SWEPT), list))
        for place, digest in enumerate(due):
            if time.monotonic() - began > SWEEP_SECONDS / 2:
                return place  # the rest is anybody's again
            await self._objects.delete(digest)
            await self._store.run(Call("swept", (token, digest), bool))
        return len(due)

    async def open(self) -> None:
        """Make the bucket's client, which takes half a second, before somebody waits for it."""
        if self._objects is not None:
            await self._objects.open()

    async def close(self) -> None:
        """Close the connections to the bucket."""
        if self._objects is not None:
            await self._objects.close()

    async def _put(self, digest: str, data: bytes) -> None:
        ttl = self._settings.picture_ttl_seconds
        mark = data
        if self._objects is not None:
            await self._announce(digest)
            await self._objects.put(digest, data)
            mark = b""
        with in_wire_errors():
            await self._store.raw.set(self._keys + digest, mark, ex=ttl)

    async def _announce(self, digest: str) -> None:
        """Have the object swept one day whatever happens now; wait for a sweeper that is at it."""
        for _ in range(SWEPT_TRIES):
            args = (digest, self._settings.picture_ttl_seconds * 1000)
            if await self._store.run(Call("shelve", args, bool)):
                return
            await asyncio.sleep(SWEPT_WAIT_SECONDS)
        raise StoreUnavailable("The store of pictures is removing this one; send it again")


class Blocking:
    """`Objects` for threads: its loop runs in a thread of fsspec's."""

    def __init__(self, settings: WireSettings) -> None:
        from fsspec import asyn  # noqa: PLC0415  comes with s3fs

        self._objects = Objects(settings)
        self._loop = asyn.get_loop()
        self._sync = asyn.sync
        self._sync(self._loop, self._objects.open)

    def get(self, digest: str) -> bytes | None:
        """As `Objects.get`."""
        data: bytes | None = self._sync(self._loop, self._objects.get, digest)
        return data


def reach(settings: WireSettings, wait_seconds: float, *, writing: bool) -> None:
    """Try the bucket, where there is one, waiting a little for a store that is just starting.

    Raises `WrongSetting` at once, `StoreUnavailable` in the end.
    """
    if settings.picture_url is None:
        return
    give_up_at = time.monotonic() + wait_seconds
    while True:
        try:
            asyncio.run(_try_once(settings, writing))
        except WrongSetting:
            raise
        except StoreUnavailable:
            if time.monotonic() > give_up_at:
                raise
        else:
            return
        time.sleep(0.2)


async def _try_once(settings: WireSettings, writing: bool) -> None:
    objects = Objects(settings)
    try:
        await objects.check(writing=writing)
    finally:
        await objects.close()
