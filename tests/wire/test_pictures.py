"""Pictures in a bucket: a real S3 server, a real Redis, and what happens when one is away."""

import asyncio
import hashlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from tests.s3_server import S3Server, bucket, s3_server
from tests.wire.asks import make_ask
from wire.errors import StoreUnavailable, WrongSetting
from wire.ledger import AsyncLedger, Ledger
from wire.mailbox import AsyncMailbox, Mailbox
from wire.messages import Ask, ImagePart, TextPart, Turn
from wire.pictures import reach
from wire.records import Accepted, Missing
from wire.settings import WireSettings
from wire.store import AsyncStore, Store

__all__ = ["bucket", "s3_server"]
Story = Callable[[AsyncStore, AsyncMailbox], Coroutine[Any, Any, None]]
DATA = bytes(range(256)) * 40
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def both(wire_settings: WireSettings, bucket: S3Server) -> WireSettings:
    return WireSettings.model_validate(
        {**wire_settings.model_dump(), **bucket.settings("/some/folder")}
    )


@asynccontextmanager
async def opened(settings: WireSettings) -> AsyncIterator[tuple[AsyncStore, AsyncMailbox]]:
    store = AsyncStore(settings)
    mailbox = AsyncMailbox(store)
    await mailbox.open()
    try:
        yield store, mailbox
    finally:
        await mailbox.close()
        await store.close()


def play(settings: WireSettings, story: Story) -> None:
    async def whole() -> None:
        async with opened(settings) as (store, mailbox):
            await story(store, mailbox)

    asyncio.run(whole())


def ask_about(*digests: str, **fields: Any) -> Ask:
    images = [ImagePart(digest=digest, index=k) for k, digest in enumerate(digests)]
    return make_ask(turns=(Turn(role="user", parts=(*images, TextPart(text="?"))),), **fields)


def test_bytes_go_to_the_bucket_and_a_mark_to_redis(both: WireSettings, bucket: S3Server) -> None:
    async def story(store: AsyncStore, mailbox: AsyncMailbox) -> None:
        assert await mailbox.missing([DIGEST, "0" * 64]) == ("0" * 64, DIGEST)
        assert await mailbox.put_picture(DATA) == DIGEST
        assert bucket.names() == [f"some/folder/{DIGEST[:2]}/{DIGEST}"]
        assert await store.raw.get(f"myopia:kept:{DIGEST}") == b""
        assert await mailbox.missing([DIGEST, "0" * 64]) == ("0" * 64,)
        assert await mailbox.picture(DIGEST) == DATA
        assert await mailbox.picture(DIGEST, first_bytes=16) == DATA[:16]
        assert await mailbox.picture("0" * 64) is None
        ledger = AsyncLedger(store)
        assert await ledger.submit(ask_about(DIGEST, "0" * 64)) == Missing(("0" * 64,))
        assert isinstance(await ledger.submit(ask_about(DIGEST)), Accepted)

    play(both, story)
    blocking = Mailbox(Store(both))
    assert blocking.picture(DIGEST) == DATA
    assert blocking.picture("0" * 64) is None


def test_a_picture_that_somebody_removed_can_be_sent_again(
    both: WireSettings, bucket: S3Server
) -> None:
    async def story(_: AsyncStore, mailbox: AsyncMailbox) -> None:
        await mailbox.put_picture(DATA)
        bucket.empty()
        assert await asyncio.to_thread(Mailbox(Store(both)).picture, DIGEST) is None
        assert await mailbox.missing([DIGEST]) == (DIGEST,)

    play(both, story)


def test_other_bytes_under_the_name_are_no_picture(both: WireSettings, bucket: S3Server) -> None:
    async def story(_: AsyncStore, mailbox: AsyncMailbox) -> None:
        await mailbox.put_picture(DATA)
        (name,) = bucket.names()
        bucket.client.put_object(Bucket="pictures", Key=name, Body=b"another picture")
        assert await mailbox.picture(DIGEST) is None

    play(both, story)


@pytest.mark.parametrize("where", ["redis", "bucket"])
def test_no_open_ask_outlives_its_pictures(
    where: str, wire_settings: WireSettings, both: WireSettings
) -> None:
    """Pictures of a minute, an ask of ten: the picture stays, and a later touch does not hurt."""
    chosen = (wire_settings if where == "redis" else both).model_copy(
        update={"picture_ttl_seconds": 60}
    )

    async def story(store: AsyncStore, mailbox: AsyncMailbox) -> None:
        await mailbox.put_picture(DATA)
        key = f"myopia:{chosen.picture_keys}{DIGEST}"
        assert await store.raw.ttl(key) <= 60
        await AsyncLedger(store).submit(ask_about(DIGEST, timeout_seconds=600))
        assert await store.raw.ttl(key) >= 600
        await mailbox.missing([DIGEST])
        await AsyncLedger(store).submit(ask_about(DIGEST, timeout_seconds=5))
        assert await store.raw.ttl(key) >= 600

    play(chosen, story)


def test_sweeping_takes_what_nobody_wants_and_nothing_else(
    both: WireSettings, bucket: S3Server
) -> None:
    async def story(store: AsyncStore, mailbox: AsyncMailbox) -> None:
        wanted = await mailbox.put_picture(DATA)
        await mailbox.put_picture(b"old")
        await AsyncLedger(store).submit(ask_about(wanted))
        assert await mailbox.sweep() == 0
        # An hour passes: marks end by themselves, but not that of the open ask.
        await store.text.zunionstore("myopia:shelf", {"myopia:shelf": 0})
        await store.raw.delete(f"myopia:kept:{hashlib.sha256(b'old').hexdigest()}")
        assert await mailbox.sweep() == 1
        assert [name[-64:] for name in bucket.names()] == [wanted]
        assert await mailbox.sweep() == 0
        assert await store.text.zrange("myopia:shelf", 0, -1) == [wanted]
        assert not [key async for key in store.text.scan_iter("myopia:sweeping:*")]

    play(both, story)


def test_putting_waits_for_the_sweeper_that_removes_the_same(
    both: WireSettings, bucket: S3Server
) -> None:
    async def story(store: AsyncStore, mailbox: AsyncMailbox) -> None:
        await store.text.set(f"myopia:sweeping:{DIGEST}", "somebody", px=300)
        putting = asyncio.create_task(mailbox.put_picture(DATA))
        await asyncio.sleep(0.1)
        assert bucket.names() == []
        await putting
        assert len(bucket.names()) == 1
        await store.text.set(f"myopia:sweeping:{DIGEST}", "somebody", px=5000)
        with pytest.raises(StoreUnavailable, match="removing"):
            await mailbox.put_picture(DATA)

    play(both, story)


def test_a_sweeper_that_fails_is_followed_by_another(both: WireSettings, bucket: S3Server) -> None:
    async def story(store: AsyncStore, mailbox: AsyncMailbox) -> None:
        await mailbox.put_picture(DATA)
        await store.raw.delete(f"myopia:kept:{DIGEST}")
        await store.text.zunionstore("myopia:shelf", {"myopia:shelf": 0})
        lost = WireSettings.model_validate({**both.model_dump(), "s3_secret_key": "wrong"})
        async with opened(lost) as (_, other):
            with pytest.raises(WrongSetting):
                await other.sweep()
        assert await mailbox.sweep() == 0  # it is the other's for some seconds
        await store.text.zunionstore("myopia:shelf", {"myopia:shelf": 0})
        assert await mailbox.sweep() == 1
        assert bucket.names() == []

    play(both, story)


def test_a_store_that_hangs_is_unavailable_within_a_second(
    both: WireSettings, bucket: S3Server
) -> None:
    async def story(_: AsyncStore, mailbox: AsyncMailbox) -> None:
        await mailbox.put_picture(DATA)
        calls = (lambda: mailbox.put_picture(b"other"), lambda: mailbox.picture(DIGEST))
        bucket.send(signal.SIGSTOP)
        try:
            for call in calls:
                began = time.monotonic()
                with pytest.raises(StoreUnavailable):
                    async with asyncio.timeout(10):
                        await call()
                assert 0.4 < time.monotonic() - began < 2
        finally:
            bucket.send(signal.SIGCONT)
        assert await mailbox.picture(DIGEST) == DATA

    play(both.model_copy(update={"s3_silence_seconds": 0.5}), story)


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("picture_url", "s3://nowhere", "MYOPIA_PICTURE_URL: s3://nowhere: no such bucket"),
        ("s3_access_key", "AKIA0000000000000000", "MYOPIA_S3_ACCESS_KEY"),
        ("s3_secret_key", "wrong", "MYOPIA_S3_SECRET_KEY"),
    ],
)
@pytest.mark.parametrize("writing", [True, False])
def test_a_wrong_bucket_or_key_is_named(
    both: WireSettings, field: str, value: str, named: str, writing: bool
) -> None:
    wrong = WireSettings.model_validate({**both.model_dump(), field: value})
    with pytest.raises(WrongSetting, match=named) as refused:
        reach(wrong, 0, writing=writing)
    assert "wrong" not in str(refused.value)
    assert both.s3_secret_key is not None
    assert both.s3_secret_key.get_secret_value() not in str(refused.value)


def test_reaching_leaves_nothing_behind(both: WireSettings, bucket: S3Server) -> None:
    reach(both, 0, writing=True)
    reach(both, 0, writing=False)
    assert bucket.names() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"picture_url": "http://bucket"},
        {"picture_url": "s3://B"},
        {"s3_endpoint_url": "127.0.0.1:9000"},
        {"s3_access_key": "only one of the two"},
        {"s3_secret_key": "only one of the two"},
    ],
)
def test_what_cannot_be_meant_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        WireSettings.model_validate(wrong)


def test_empty_means_left_out() -> None:
    empty = dict.fromkeys(("picture_url", "s3_endpoint_url", "s3_access_key"), "")
    settings = WireSettings.model_validate({**empty, "s3_secret_key": "", "s3_region": ""})
    assert settings.picture_url is None
    assert settings.picture_keys == "picture:"


def test_redis_is_not_asked_for_bytes(both: WireSettings, ledger: Ledger, store: Store) -> None:
    """Bytes that an older configuration left in Redis are not taken for marks, nor the reverse."""
    store.raw.set(f"myopia:picture:{DIGEST}", DATA)
    assert Ledger(Store(both)).submit(ask_about(DIGEST)) == Missing((DIGEST,))
