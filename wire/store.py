"""Clients of Redis that answer in time or raise `StoreUnavailable`, and the scripts they run.

Importing opens no socket; a client connects on its first call. Nothing here knows what an ask
is. The blocking `Store` is the worker's, `AsyncStore` the gateway's.
"""

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any, TypeVar

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004
)
from redis.retry import Retry

from wire.calls import Call
from wire.errors import StoreFull, StoreUnavailable, WrongSetting
from wire.pool import PatientPool
from wire.settings import WireSettings
from wire.together import Together

T = TypeVar("T")
CONNECTIONS = 8
REFUSED_WRITES = ("OOM", "MISCONF", "NOREPLICAS")


@contextmanager
def in_wire_errors() -> Generator[None]:
    """Turn what redis-py raises when the server is the trouble into `StoreUnavailable`.

    A `ResponseError` about a command stays as it is: it is our bug, not an outage.
    """
    try:
        yield
    except (OutOfMemoryError, ReadOnlyError) as error:
        raise StoreFull("Redis refuses writes: out of memory or read-only") from error
    except (AuthenticationError, NoPermissionError) as error:
        raise WrongSetting("MYOPIA_REDIS_URL", "Redis refuses its user or password") from error
    except (ConnectionError, TimeoutError, BusyLoadingError, OSError) as error:
        raise StoreUnavailable("Redis does not answer") from error
    except ResponseError as error:
        if str(error).startswith(REFUSED_WRITES):
            raise StoreFull("Redis refuses writes: out of memory or disk") from error
        raise
    except RedisError as error:
        raise StoreUnavailable("Redis answers in a way that was not expected") from error


@cache
def script_text(name: str) -> str:
    """Text of one script, with the functions that all of them share put before it."""
    folder = files("wire") / "lua"
    shared = (folder / "shared.lua").read_text("utf-8")
    return shared + (folder / f"{name}.lua").read_text("utf-8")


@cache
def script_digest(name: str) -> str:
    """SHA-1 of that text, under which a server that has seen it knows it."""
    return hashlib.sha1(script_text(name).encode(), usedforsecurity=False).hexdigest()


def client_options(settings: WireSettings) -> dict[str, Any]:
    """What both clients share: explicit timeouts, so that a dead Redis is seen within 1 s.

    A broken connection is retried once at once (a pooled socket may be stale after a restart;
    every script tolerates being run twice); an overdue reply is not.
    """
    return {
        "socket_connect_timeout": settings.connect_timeout_seconds,
        "socket_timeout": settings.reply_timeout_seconds,
        "socket_keepalive": True,
        "health_check_interval": 0,
        "protocol": 3,
        "client_name": "myopia",
    }


def standing_arguments(settings: WireSettings) -> tuple[str | int, ...]:
    """The first arguments of every script: `shared.lua` reads them."""
    return (
        settings.namespace,
        settings.record_ttl_seconds,
        settings.dead_ttl_seconds,
        settings.max_attempts,
    )


class Store:
    """Blocking clients of the durable Redis, safe to share between threads."""

    def __init__(self, settings: WireSettings) -> None:
        self.settings = settings
        options = client_options(settings)
        options["retry"] = Retry(NoBackoff(), 1, supported_errors=(ConnectionError,))
        url = settings.durable_url
        self.text: redis.Redis = redis.Redis.from_url(url, decode_responses=True, **options)
        self.raw: redis.Redis = redis.Redis.from_url(url, **options)
        self._scripts: dict[str, Any] = {}

    def run(self, call: Call[T]) -> T:
        """Run one script; `StoreUnavailable` within a second when Redis does not answer."""
        script = self._scripts.get(call.script)
        if script is None:
            script = self.text.register_script(script_text(call.script))
            self._scripts[call.script] = script
        with in_wire_errors():
            reply = script(args=[*standing_arguments(self.settings), *call.args])
        return call.read(reply)

    def ping(self) -> None:
        """Raise `StoreUnavailable` unless Redis answers."""
        with in_wire_errors():
            self.text.ping()

    def close(self) -> None:
        """Close the pooled connections."""
        self.text.close()
        self.raw.close()


def _pooled(settings: WireSettings, url: str, *, decode_responses: bool) -> redis.asyncio.Redis:
    """A client with few connections: a hundred asks at once wait for one, and do not open 100.

    A hundred handshakes at once took so long that connecting timed out on a busy machine.
    """
    pool = PatientPool.from_url(
        url,
        max_connections=CONNECTIONS,
        silence_seconds=settings.reply_timeout_seconds,
        decode_responses=decode_responses,
        retry=AsyncRetry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
        **client_options(settings),
    )
    return redis.asyncio.Redis.from_pool(pool)


class AsyncStore:
    """Asyncio clients of both Redis roles; made and closed inside one event loop."""

    def __init__(self, settings: WireSettings) -> None:
        self.settings = settings
        self.text = _pooled(settings, settings.durable_url, decode_responses=True)
        self.raw = _pooled(settings, settings.durable_url, decode_responses=False)
        self.cache = _pooled(settings, settings.cache_url, decode_responses=True)
        self.together = Together(self.text)
        one = settings.cache_url == settings.durable_url
        self.cached = self.together if one else Together(self.cache)
        self._standing = standing_arguments(settings)

    async def run(self, call: Call[T]) -> T:
        """Run one script; `StoreUnavailable` within a second when Redis does not answer."""
        args = (0, *self._standing, *call.args)
        with in_wire_errors():
            try:
                reply = await self.together.do("EVALSHA", script_digest(call.script), *args)
            except NoScriptError:  # a server that does not know it (yet, or since it restarted)
                reply = await self.together.do("EVAL", script_text(call.script), *args)
        return call.read(reply)

    async def ping(self) -> None:
        """Raise `StoreUnavailable` unless the durable Redis answers."""
        with in_wire_errors():
            await self.text.ping()

    async def close(self) -> None:
        """Close the pooled connections."""
        for lines in (self.together, self.cached):
            await lines.close()
        for client in (self.text, self.raw, self.cache):
            await client.aclose()
