"""Commands of several callers travel in few writes, and each gets its own reply or error."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis.exceptions

from tests.redis_server import RedisServer
from wire.calls import Call
from wire.errors import StoreUnavailable
from wire.settings import WireSettings
from wire.store import AsyncStore, Store
from wire.together import MOST_AT_ONCE, Together


@asynccontextmanager
async def opened(settings: WireSettings) -> AsyncIterator[AsyncStore]:
    store = AsyncStore(settings)
    try:
        yield store
    finally:
        await store.close()


def play(settings: WireSettings, story: Callable[[AsyncStore], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with opened(settings) as store:
            await story(store)

    asyncio.run(whole())


def reads(store: Store) -> int:
    """How often the server has read from a socket, this time included."""
    said: Any = store.text.info("stats")
    return int(said["total_reads_processed"])


def test_a_crowd_costs_few_round_trips_and_each_gets_its_own(
    wire_settings: WireSettings, store: Store
) -> None:
    async def story(there: AsyncStore) -> None:
        await there.together.do("PING")  # the connection is greeted
        before = reads(store)
        sets = [there.together.do("SET", f"k{n}", n) for n in range(100)]
        gets = [there.together.do("GET", f"k{n}") for n in range(100)]
        replies = await asyncio.gather(*sets, *gets)
        assert replies == [True] * 100 + [str(n) for n in range(100)]  # in the order they came
        assert reads(store) - before <= 200 / MOST_AT_ONCE + 6

    play(wire_settings, story)


def test_an_error_is_told_to_the_one_who_made_it(wire_settings: WireSettings) -> None:
    async def story(there: AsyncStore) -> None:
        wrong: tuple[tuple[Any, ...], ...] = (("LPUSH", "text", "x"), ("SET", "odd", object()))
        await there.together.do("SET", "text", "1")
        for command in wrong:
            asked = [("GET", "text"), command, ("INCR", f"again{command[0]}")]
            replies = await asyncio.gather(
                *(there.together.do(*one) for one in asked), return_exceptions=True
            )
            assert replies[0] == "1"
            assert isinstance(replies[1], redis.exceptions.RedisError)
            assert replies[2] == 1  # nothing was run twice
        with pytest.raises(redis.exceptions.ResponseError):
            await there.together.do("LPUSH", "text", "x")

    play(wire_settings, story)


def test_whoever_leaves_disturbs_nobody(wire_settings: WireSettings) -> None:
    async def story(there: AsyncStore) -> None:
        tasks = [asyncio.create_task(there.together.do("INCR", "n")) for _ in range(9)]
        await asyncio.sleep(0)
        tasks[4].cancel()
        replies = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(replies.pop(4), asyncio.CancelledError)
        assert len({*replies}) == 8
        assert max(replies) in (8, 9)  # type: ignore[type-var]

    play(wire_settings, story)


def test_a_silence_ends_for_all_at_the_same_moment(
    redis_server: RedisServer, wire_settings: WireSettings
) -> None:
    async def story(there: AsyncStore) -> None:
        await there.together.do("PING")
        assert redis_server.process is not None
        redis_server.process.send_signal(19)  # SIGSTOP
        loop = asyncio.get_running_loop()
        began, took = loop.time(), []

        async def late(after: float) -> None:
            await asyncio.sleep(after)
            with pytest.raises(StoreUnavailable):
                await there.run(Call("counters", (), list))
            took.append(loop.time() - began)

        try:
            await asyncio.gather(*(late(n / 50) for n in range(20)))
        finally:
            redis_server.process.send_signal(18)  # SIGCONT
        assert max(took) < wire_settings.reply_timeout_seconds + 0.5
        assert await there.together.do("PING")

    play(wire_settings, story)


def test_scripts_are_known_again_after_a_restart(
    redis_server: RedisServer, wire_settings: WireSettings, store: Store
) -> None:
    async def story(there: AsyncStore) -> None:
        counters = Call("counters", (), len)
        first = await there.run(counters)
        store.text.script_flush()
        many = await asyncio.gather(*(there.run(counters) for _ in range(5)))
        redis_server.restart()
        assert [*many, await there.run(counters)] == [first] * 6

    play(wire_settings, story)


def test_closing_lets_nobody_wait(wire_settings: WireSettings) -> None:
    async def story(there: AsyncStore) -> None:
        lines = Together(there.text)
        waiting = asyncio.create_task(lines.do("BRPOP", "nothing", 30))
        await asyncio.sleep(0.05)
        await lines.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    play(wire_settings, story)
