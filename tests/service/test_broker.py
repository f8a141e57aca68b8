"""Where the message of an ask goes: with the ask's record, or to a broker that is elsewhere."""

import json
from typing import Any

import httpx
import pytest
import redis
from pydantic import SecretStr

from tests.redis_server import RedisServer, free_port
from tests.service.conftest import settings_for
from tests.service.gateway import listening
from tests.service.test_ask import body
from tests.service.waiting import eventually

LATER = {"Prefer": "respond-async"}


def told(url: str, name: str) -> list[str]:
    """What the messages in a broker's list say they are about."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        rows: Any = client.lrange(name, 0, -1)
    return [json.loads(row)["headers"]["argsrepr"] for row in rows]


@pytest.mark.parametrize("elsewhere", [False, True])
def test_one_message_goes_to_the_broker(redis_server: RedisServer, elsewhere: bool) -> None:
    redis_server.wipe()
    plain = settings_for(redis_server)
    there, other = redis_server.url, redis_server.url.removesuffix("/0") + "/1"
    broker = SecretStr(other) if elsewhere else None
    settings = plain.model_copy(update={"broker_url": broker, "look_delay_seconds": 60.0})
    with listening(settings) as url:
        reply = httpx.post(f"{url}/v1/ask", json=body(), headers=LATER)
        assert reply.status_code == 202
        wanted = [f"('{reply.json()['id']}',)"]
        name = settings.queue_name
        assert eventually(lambda: told(other if elsewhere else there, name) == wanted)
        assert told(there if elsewhere else other, name) == []
    redis_server.wipe()


def test_an_ask_is_accepted_though_the_broker_is_away(redis_server: RedisServer) -> None:
    redis_server.wipe()
    away = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    settings = settings_for(redis_server).model_copy(update={"broker_url": away})
    with listening(settings) as url:
        for _ in range(3):
            reply = httpx.post(f"{url}/v1/ask", json=body(), headers=LATER)
            assert reply.status_code == 202
            assert reply.elapsed.total_seconds() < 0.5
    redis_server.wipe()
