"""Sends what several callers ask of Redis at the same moment in one write, in the order they came.

While one batch is under way the next one gathers, so a crowd costs few round trips and a single
caller waits for nobody. What the commands mean is not known here.
"""

import asyncio
from contextlib import suppress
from typing import Any

import redis.asyncio
import redis.exceptions

MOST_AT_ONCE = 64
AWAY = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError, OSError)
Command = tuple[Any, ...]


class Together:
    """Commands of one client, batched; for one event loop, `close` it with that.

    Every command must be harmless when run twice: a connection that breaks is tried once more.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._waiting: list[tuple[Command, asyncio.Future[Any]]] = []
        self._sending: asyncio.Task[None] | None = None

    async def do(self, *command: Any) -> Any:  # noqa: ANN401  as Redis has them
        """The reply to one command; raises what redis-py raises for it alone.

        Whoever stops waiting does not disturb the others; the command may have been run.
        """
        return await self.begin(*command)

    def begin(self, *command: Any) -> "asyncio.Future[Any]":  # noqa: ANN401  as Redis has them
        """As `do`, without a task of its own: the reply is to be awaited."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, reply))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="redis batches")
        return reply

    async def close(self) -> None:
        """Give up what is under way."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])

    async def _send(self) -> None:
        batch: list[tuple[Command, asyncio.Future[Any]]] = []
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                try:
                    replies = await self._replies([command for command, _ in batch])
                except redis.exceptions.TimeoutError as silence:
                    # A silence is everybody's: who came meanwhile would only wait for it again.
                    batch, self._waiting = batch + self._waiting, []
                    replies = [silence] * len(batch)
                except AWAY as error:
                    replies = [error] * len(batch)
                for (_, waiter), reply in zip(batch, replies, strict=True):
                    _tell(waiter, reply)
        finally:  # also when something ended this task that is nobody's command
            self._sending = None
            for _, waiter in (*batch, *self._waiting):
                waiter.cancel()  # nothing happens to one that has been told
            self._waiting = []

    async def _replies(self, commands: list[Command]) -> list[Any]:
        if len(commands) > 1:
            pipe = self._client.pipeline(transaction=False)
            for command in commands:
                pipe.execute_command(*command)
            with suppress(redis.exceptions.DataError, ValueError):  # one cannot even be written
                return list(await pipe.execute(raise_on_error=False))
        return [await self._alone(command) for command in commands]

    async def _alone(self, command: Command) -> Any:  # noqa: ANN401  as Redis has them
        try:
            reply: Any = await self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        except AWAY:
            raise
        except (redis.exceptions.RedisError, ValueError) as error:
            return error
        return reply


def _tell(waiter: "asyncio.Future[Any]", reply: object) -> None:
    if waiter.done():
        return
    if isinstance(reply, Exception):
        waiter.set_exception(reply)
    else:
        waiter.set_result(reply)
