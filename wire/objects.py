"""Bytes under their SHA-256 in a bucket of an S3-compatible store, by fsspec's s3fs.

Answers within `s3_silence_seconds` (and a tenth for each try) or raises `StoreUnavailable`. Knows
nothing of asks, and not how long a picture is wanted. Importing loads no S3 client.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from wire.errors import StoreUnavailable, WrongSetting
from wire.settings import WireSettings

T = TypeVar("T")
TRANSFERS = 32
"""Transfers of one process at once; each holds one connection and one picture."""
SLOWEST_BYTES_PER_SECOND = 4e6
"""A slower way to the store than 32 Mbit/s is no way for pictures: then it counts as away."""
LARGEST_BYTES = 64 * 2**20
PROBE = "probe"
NO_SUCH_OBJECT = ("NoSuchKey", "404")
KEYS = "MYOPIA_S3_ACCESS_KEY, MYOPIA_S3_SECRET_KEY"


class Objects:
    """The bucket, for the one event loop that makes the first call."""

    def __init__(self, settings: WireSettings) -> None:
        assert settings.picture_url is not None
        self._settings = settings
        self._url = settings.picture_url
        self._files = _open(settings)
        self._free = asyncio.Semaphore(TRANSFERS)

    async def open(self) -> None:
        """Make the client; connects to nothing."""
        await self._files.set_session()

    async def put(self, digest: str, data: bytes) -> None:
        """Keep the bytes under their name; one request, so they are there whole or not at all."""
        await self._again(lambda: self._files._pipe_file(self._path(digest), data), len(data))

    async def get(self, digest: str, first_bytes: int | None = None) -> bytes | None:
        """The bytes, or the first of them; None when they are not there, or are others."""
        try:
            data: bytes = await self._again(
                lambda: self._files._cat_file(
                    self._path(digest), start=None if first_bytes is None else 0, end=first_bytes
                )
            )
        except FileNotFoundError:
            return None
        if first_bytes is None and hashlib.sha256(data).hexdigest() != digest:
            return None
        return data

    async def delete(self, digest: str) -> None:
        """Remove; a name that is not there is no error."""
        await self._again(lambda: self._files._rm_file(self._path(digest)), 0)

    async def check(self, *, writing: bool) -> None:
        """Raise `WrongSetting` where the bucket or its keys are wrong, by trying them."""
        await self.open()
        if writing:
            await self.put(PROBE, b"probe")
            await self.delete(PROBE)
        with suppress(FileNotFoundError):
            await self._again(lambda: self._files._cat_file(self._path(PROBE)))

    async def close(self) -> None:
        """Close the connections."""
        if self._files._s3 is not None:
            await self._files._s3.close()

    def _path(self, digest: str) -> str:
        # Two letters first: stores that spread by prefix spread, and a listing stays short.
        return f"{self._url}/{digest[:2]}/{digest}"

    async def _again(self, call: Callable[[], Awaitable[T]], size: int = LARGEST_BYTES) -> T:
        """Call; what fails at once (a busy server, a broken connection) is tried once more.

        aiohttp bounds the silence after a GET, but was seen to wait for ever after a PUT: hence
        also a bound by `size`, the bytes to be moved at most.
        """
        silence, began = self._settings.s3_silence_seconds, time.monotonic()
        longest = silence + size / SLOWEST_BYTES_PER_SECOND
        async with self._slot():
            try:
                return await self._translated(call, longest)
            except StoreUnavailable:
                if time.monotonic() - began > silence / 2:
                    raise
            return await self._translated(call, longest)

    @asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None]:
        """One of the transfers; who waits too long for one is told that the store is away."""
        try:
            async with asyncio.timeout(self._settings.s3_silence_seconds):
                await self._free.acquire()
        except TimeoutError:
            raise StoreUnavailable("The store of pictures is too slow") from None
        try:
            yield
        finally:
            self._free.release()

    async def _translated(self, call: Callable[[], Awaitable[T]], longest: float) -> T:
        from aiohttp import ClientError  # noqa: PLC0415  comes with s3fs
        from botocore.exceptions import BotoCoreError, NoCredentialsError  # noqa: PLC0415

        try:
            async with asyncio.timeout(longest):
                return await call()
        except NoCredentialsError as error:
            raise WrongSetting(KEYS, "there are no keys for the store of pictures") from error
        except FileNotFoundError as error:
            if _code(error) in NO_SUCH_OBJECT:
                raise
            raise WrongSetting("MYOPIA_PICTURE_URL", f"{self._url}: no such bucket") from error
        except PermissionError as error:
            why = f"the store of pictures refuses them for {self._url} ({_code(error)})"
            raise WrongSetting(KEYS, why) from error
        except (BotoCoreError, ClientError, OSError) as error:
            raise StoreUnavailable("The store of pictures does not answer") from error


def _code(error: BaseException) -> str:
    """S3's own word for what went wrong."""
    response: Any = getattr(error.__cause__, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _open(settings: WireSettings) -> Any:  # noqa: ANN401  s3fs has no types
    try:
        from s3fs import S3FileSystem  # noqa: PLC0415  only where pictures are kept so
    except ModuleNotFoundError as error:
        raise WrongSetting(
            "MYOPIA_PICTURE_URL", "needs the extra `s3`: pip install 'myopia-service[s3]'"
        ) from error
    key, secret = settings.s3_access_key, settings.s3_secret_key
    files = S3FileSystem(
        asynchronous=True,
        skip_instance_cache=True,
        use_listings_cache=False,
        key=key.get_secret_value() if key else None,
        secret=secret.get_secret_value() if secret else None,
        endpoint_url=settings.s3_endpoint_url,
        client_kwargs={"region_name": settings.s3_region} if settings.s3_region else {},
        max_concurrency=1,  # no HEAD before a GET, no picture in several parts
        config_kwargs={
            "connect_timeout": settings.connect_timeout_seconds,
            "read_timeout": settings.s3_silence_seconds,
            "retries": {"mode": "standard", "total_max_attempts": 1},
            "max_pool_connections": TRANSFERS,
            # The newer default adds trailers that other stores than Amazon's do not know.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
            "s3": {"addressing_style": "path" if settings.s3_endpoint_url else "auto"},
        },
    )
    files.retries = 1  # tries, and the trying again is ours
    return files
