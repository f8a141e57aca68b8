"""A pool of Redis connections whose callers wait in line only while Redis talks to somebody.

A crowd that is being served is waited for; a Redis that has gone silent is given up by all who
wait at the same moment, not by one after the other. What is asked of Redis is not known here.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import redis.exceptions
from redis.asyncio.connection import AbstractConnection, ConnectionPool


class PatientPool(ConnectionPool):
    """Few connections for many callers, in the order in which they came.

    `silence_seconds`: when nobody here got a reply for so long, nobody waits any longer.
    """

    def __init__(self, max_connections: int, silence_seconds: float, **options: Any) -> None:  # noqa: ANN401
        super().__init__(max_connections=max_connections, **options)
        self._silence_seconds = silence_seconds
        self._free = asyncio.Semaphore(max_connections)
        self._heard_at = float("-inf")

    async def get_connection(
        self, command_name: str | None = None, *keys: object, **options: object
    ) -> AbstractConnection:
        """Wait for a connection that has been greeted; raises redis' TimeoutError in silence."""
        async with self._while_it_talks():
            await self._free.acquire()
            connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
            is_sound = False
            try:
                await self.ensure_connection(connection)
                is_sound = True
            finally:
                if not is_sound:
                    await self.release(connection)
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        """Take a connection back; one that failed was closed by whoever had it."""
        if connection.is_connected:
            self._heard_at = asyncio.get_running_loop().time()
        try:
            await super().release(connection)
        finally:
            self._free.release()

    @asynccontextmanager
    async def _while_it_talks(self) -> AsyncGenerator[None]:
        """End the block with redis' TimeoutError once nobody has been answered for too long."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        timer: asyncio.TimerHandle

        def end() -> float:
            return max(began, self._heard_at) + self._silence_seconds

        def look() -> None:
            nonlocal timer
            if end() > loop.time():
                timer = loop.call_at(end(), look)
            else:
                bound.reschedule(loop.time())

        timer = loop.call_at(end(), look)
        try:
            async with asyncio.timeout(None) as bound:
                yield
        except TimeoutError:
            raise redis.exceptions.TimeoutError("Redis is silent") from None
        finally:
            timer.cancel()
