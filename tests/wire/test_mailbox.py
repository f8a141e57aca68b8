"""Pictures in, events out, over asyncio and a real Redis."""

import asyncio
import hashlib
import statistics
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.redis_server import RedisServer
from tests.wire.asks import make_ask, make_done
from wire import calls
from wire.errors import AskLost, StoreUnavailable
from wire.ledger import AsyncLedger, Ledger
from wire.mailbox import AsyncMailbox, Mailbox
from wire.messages import Done, Failed, Token
from wire.records import Accepted, Joined, Piece
from wire.settings import WireSettings
from wire.store import AsyncStore, Store

Story = Callable[[AsyncStore, AsyncMailbox], Coroutine[Any, Any, None]]


def play(settings: WireSettings, story: Story) -> None:
    async def whole() -> None:
        store = AsyncStore(settings)
        mailbox = AsyncMailbox(store)
        try:
            await story(store, mailbox)
        finally:
            await mailbox.close()
            await store.close()

    asyncio.run(whole())


def test_pictures(wire_settings: WireSettings, store: Store) -> None:
    async def story(_: AsyncStore, mailbox: AsyncMailbox) -> None:
        data = bytes(range(256))
        digest = await mailbox.put_picture(data)
        assert digest == hashlib.sha256(data).hexdigest()
        assert await mailbox.picture(digest) == data
        assert await mailbox.picture(digest, first_bytes=4) == data[:4]
        assert await mailbox.picture("0" * 64) is None
        assert await mailbox.picture("0" * 64, first_bytes=4) is None
        store.text.expire(f"myopia:picture:{digest}", 5)
        assert await mailbox.missing([digest, "0" * 64, digest]) == ("0" * 64,)
        assert await mailbox.missing([]) == ()
        remaining = store.text.ttl(f"myopia:picture:{digest}")
        assert isinstance(remaining, int)
        assert remaining > 5
        assert Mailbox(store).picture(digest) == data

    play(wire_settings, story)


def test_events_come_as_they_are_made_and_end(wire_settings: WireSettings, ledger: Ledger) -> None:
    ask = make_ask()
    ledger.submit(ask)

    async def story(_: AsyncStore, mailbox: AsyncMailbox) -> None:
        heard = threading.Semaphore(0)
        waits: list[float] = []

        def work() -> None:
            claim = ledger.claim("w", ask.ask_id)
            assert claim is not None
            for place, text in enumerate(("a", "b", "c")):
                ledger.append(ask.ask_id, 1, Piece(text, place))
                began = time.monotonic()
                assert heard.acquire(timeout=5), "it waits for the next event"
                waits.append(time.monotonic() - began)
            ledger.finish(ask.ask_id, 1, "done", make_done("abc"))

        assert await mailbox.ending(ask.ask_id) is None
        working = asyncio.create_task(asyncio.to_thread(work))
        seen = []
        async for event_id, event in mailbox.events(ask.ask_id):
            seen.append((event_id, event))
            heard.release()
        await working
        assert [e.text for _, e in seen[:-1] if e.kind == "token"] == ["a", "b", "c"]
        assert seen[-1][1] == make_done("abc")
        # Each before the next was made, and by the doorbell: a re-check comes after a second.
        assert statistics.median(waits) < 0.5
        assert await mailbox.ending(ask.ask_id) == make_done("abc")
        rest = [event async for _, event in mailbox.events(ask.ask_id, seen[1][0])]
        assert rest == [Token(text="c"), make_done("abc")]
        assert [e async for e in mailbox.events(ask.ask_id, seen[-1][0])] == []

    play(wire_settings, story)


def test_a_missed_bell_is_covered(wire_settings: WireSettings, store: Store) -> None:
    ask = make_ask()
    Ledger(store).submit(ask)

    async def story(_: AsyncStore, mailbox: AsyncMailbox) -> None:
        async def first() -> Token | Done | Failed:
            async for _, event in mailbox.events(ask.ask_id):
                return event
            raise AssertionError

        reading = asyncio.create_task(first())
        await asyncio.sleep(0.3)
        event = Token(text="quiet").model_dump_json()
        await asyncio.to_thread(store.text.xadd, f"myopia:events:{ask.ask_id}", {"e": event})
        assert await asyncio.wait_for(reading, 3) == Token(text="quiet")

    play(wire_settings, story)


def test_an_ask_that_the_store_lost_ends_in_words(
    wire_settings: WireSettings, ledger: Ledger, redis_server: RedisServer
) -> None:
    ask = make_ask()
    ledger.submit(ask)

    async def story(_: AsyncStore, mailbox: AsyncMailbox) -> None:
        async def read() -> None:
            async for _ in mailbox.events(ask.ask_id):
                pass

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        await asyncio.to_thread(redis_server.wipe)
        with pytest.raises(AskLost) as caught:
            await asyncio.wait_for(reading, 3)
        assert caught.value.code == "store_lost"

    play(wire_settings, story)


def test_waiters_ride_out_a_restart_and_newcomers_are_told(
    wire_settings: WireSettings, redis_server: RedisServer
) -> None:
    ask = make_ask()

    async def story(store: AsyncStore, mailbox: AsyncMailbox) -> None:
        ledger = AsyncLedger(store)
        assert isinstance(await ledger.submit(ask), Accepted)

        async def last() -> Token | Done | Failed:
            return [event async for _, event in mailbox.events(ask.ask_id)][-1]

        reading = asyncio.create_task(last())
        await asyncio.sleep(0.2)
        await asyncio.to_thread(redis_server.kill)
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await ledger.submit(make_ask())
        with pytest.raises(StoreUnavailable):
            await mailbox.put_picture(b"x")
        assert time.monotonic() - began < 1
        await asyncio.to_thread(redis_server.start)
        assert await ledger.cancel(ask.ask_id) == "cancelled"
        assert await asyncio.wait_for(reading, 5) == calls.CANCELLED

    play(wire_settings, story)


def test_patience_ends(wire_settings: WireSettings, redis_server: RedisServer) -> None:
    hasty = wire_settings.model_copy(update={"patience_seconds": 0.3})
    ask = make_ask()

    async def story(store: AsyncStore, mailbox: AsyncMailbox) -> None:
        await AsyncLedger(store).submit(ask)
        redis_server.kill()
        try:
            with pytest.raises(StoreUnavailable):
                async for _ in mailbox.events(ask.ask_id):
                    pass
        finally:
            redis_server.start()

    play(hasty, story)


def test_a_hundred_identical_asks_are_one(wire_settings: WireSettings, ledger: Ledger) -> None:
    async def story(store: AsyncStore, mailbox: AsyncMailbox) -> None:
        desk = AsyncLedger(store)
        replies = await asyncio.gather(
            *(desk.submit(make_ask(), flight="same") for _ in range(100))
        )
        leaders = [reply for reply in replies if isinstance(reply, Accepted)]
        assert len(leaders) == 1
        leader = leaders[0].ask_id
        assert replies.count(Joined(leader)) == 99

        async def follow() -> Token | Done | Failed:
            return [event async for _, event in mailbox.events(leader)][-1]

        following = [asyncio.create_task(follow()) for _ in range(100)]
        await asyncio.sleep(0.1)
        claim = ledger.claim("w", leader)
        assert claim is not None
        ledger.finish(leader, 1, "done", make_done())
        assert await asyncio.gather(*following) == [make_done()] * 100
        assert (await desk.counters()).accepted == 1

    play(wire_settings, story)


def test_an_expected_ask_is_read_at_its_bells_alone(
    wire_settings: WireSettings, store: Store
) -> None:
    """Nothing is looked for before there is something; a bell before the first look is heard."""
    ledger, counted = Ledger(store), calls.Call("counters", (), len)

    def looks() -> int:
        told: Any = store.text.info("commandstats")
        return int(told["cmdstat_xrange"]["calls"]) if "cmdstat_xrange" in told else 0

    async def story(there: AsyncStore, mailbox: AsyncMailbox) -> None:
        await there.run(counted)
        mailbox.expect("ask_nobody00")
        await asyncio.sleep(0.2)  # the doorbell is heard from here on
        for pause in (0.0, 0.2):
            ask = make_ask()
            mailbox.expect(ask.ask_id)
            before = looks()
            assert isinstance(await AsyncLedger(there).submit(ask), Accepted)
            claim = await asyncio.to_thread(ledger.claim, "w", ask.ask_id)
            assert claim is not None

            async def read(ask_id: str = ask.ask_id) -> list[str]:
                return [event.kind async for _, event in mailbox.events(ask_id)]

            reading = asyncio.create_task(read()) if pause else None
            await asyncio.sleep(pause)
            made = looks()
            last = Piece("a b", 0)
            await asyncio.to_thread(ledger.finish, ask.ask_id, 1, "done", make_done("a b"), last)
            began = time.monotonic()
            assert await (reading or read()) == ["token", "done"]
            assert time.monotonic() - began < 0.5
            assert (made - before, looks() - made) == (0, 0)  # the bell told both events

    play(wire_settings, story)


@pytest.mark.parametrize("length", [10, 5000])
def test_long_events_are_looked_for(
    length: int, wire_settings: WireSettings, ledger: Ledger
) -> None:
    text = "x\n" * (length // 2)

    async def story(there: AsyncStore, mailbox: AsyncMailbox) -> None:
        ask = make_ask()
        mailbox.expect(ask.ask_id)
        await AsyncLedger(there).submit(ask)

        def work() -> None:
            assert ledger.claim("w", ask.ask_id) is not None
            for n in range(3):
                ledger.append(ask.ask_id, 1, Piece(text, n * len(text)))
            ledger.finish(ask.ask_id, 1, "done", make_done("?"))

        working = asyncio.create_task(asyncio.to_thread(work))
        events = [event async for _, event in mailbox.events(ask.ask_id)]
        await working
        assert events == [Token(text=text)] * 3 + [make_done("?")]

    play(wire_settings, story)


def test_an_ask_that_is_expected_and_never_followed_is_forgotten(
    wire_settings: WireSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wire.doorbell.EXPECTED_SECONDS", 0.05)

    async def story(_: AsyncStore, mailbox: AsyncMailbox) -> None:
        for number in range(20):
            mailbox.expect(f"ask_{number:08d}")
        mailbox.forget("ask_00000019")
        await asyncio.sleep(0.1)
        mailbox.expect("ask_00000020")
        bell = mailbox._doorbell
        assert list(bell._expected) == list(bell._ears) == ["ask_00000020"]

    play(wire_settings, story)
