"""What the ledger posts is what Celery would have sent, and goes out with the ask or not at all."""

import asyncio
import json
import re
from typing import Any

import pytest
from pydantic import SecretStr

from tests.wire.asks import make_ask
from wire.ledger import AsyncLedger
from wire.messages import ImagePart, TextPart, Turn
from wire.queue import Queue
from wire.records import Accepted, Missing, Refused, Room
from wire.settings import WireSettings
from wire.store import AsyncStore, Store

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def messages(store: Store) -> list[dict[str, Any]]:
    rows: Any = store.text.lrange("myopia.asks", 0, -1)
    return [json.loads(row) for row in rows]


def test_it_differs_from_celery_s_own_message_in_its_ids_alone(
    wire_settings: WireSettings, store: Store
) -> None:
    queue = Queue(wire_settings)
    postcard = queue.postcard()
    assert postcard is not None
    queue.send("ask_12345678")
    (sent,) = messages(store)
    queue.close()
    written = [json.loads(postcard.write("ask_12345678")) for _ in range(2)]
    ids = set()
    for message in (sent, *written):
        headers, properties = message["headers"], message["properties"]
        assert headers["id"] == headers["root_id"] == properties["correlation_id"]
        mine = {headers["id"], properties["delivery_tag"]}
        assert all(UUID.fullmatch(one) for one in mine)
        ids |= mine
        assert UUID.fullmatch(properties.pop("reply_to"))  # of each app; nobody replies
        for name in ("id", "root_id"):
            del headers[name]
        del properties["correlation_id"], properties["delivery_tag"]
    assert len(ids) == 6
    assert written[0] == written[1] == sent
    assert postcard.list_name == wire_settings.queue_name


def test_it_is_posted_with_the_ask_once_and_with_no_other_outcome(
    wire_settings: WireSettings, store: Store
) -> None:
    queue = Queue(wire_settings)
    postcard = queue.postcard()
    assert postcard is not None
    turn = Turn(role="user", parts=(ImagePart(digest="0" * 64, index=0), TextPart(text="What?")))
    ask, unknown = make_ask(), make_ask(turns=(turn,))

    async def story() -> None:
        there = AsyncStore(wire_settings)
        ledger = AsyncLedger(there)
        for _ in range(2):
            message = postcard.write(ask.ask_id)
            assert isinstance(await ledger.submit(ask, message=message), Accepted)
        other = postcard.write(unknown.ask_id)
        assert isinstance(await ledger.submit(unknown, message=other), Missing)
        full = Room(max_open=1)
        late = make_ask()
        refused = await ledger.submit(late, message=postcard.write(late.ask_id), room=full)
        assert isinstance(refused, Refused)
        await there.close()

    asyncio.run(story())
    (posted,) = messages(store)
    assert ask.ask_id in posted["headers"]["argsrepr"]
    queue.close()


def test_a_broker_elsewhere_has_none(wire_settings: WireSettings) -> None:
    elsewhere = wire_settings.model_copy(update={"broker_url": SecretStr("redis://127.0.0.1:1/3")})
    assert Queue(elsewhere).postcard() is None


def test_a_new_form_is_left_to_celery(
    wire_settings: WireSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = {"body": {"args": ["?"]}, "properties": {"body_encoding": "cbor"}}
    monkeypatch.setattr("wire.postcard._as_written", lambda *_: form)
    assert Queue(wire_settings).postcard() is None
