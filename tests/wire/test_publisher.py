"""A publisher sends in order from one thread, and leaves to the reaper what no broker takes."""

import threading
import time

import pytest
from pydantic import SecretStr

from tests.redis_server import RedisServer, free_port
from wire.publisher import Publisher
from wire.queue import Queue
from wire.settings import WireSettings
from wire.store import Store


def sent(store: Store) -> list[str]:
    rows = store.text.lrange("myopia.asks", 0, -1)
    assert isinstance(rows, list)
    return [row.partition("('")[2].partition("'")[0] for row in reversed(rows)]


def test_messages_go_out_in_order_and_before_the_end(
    wire_settings: WireSettings, store: Store
) -> None:
    queue = Queue(wire_settings)
    publisher = Publisher(queue)
    before = threading.active_count()
    wanted = [f"ask_{n:08}" for n in range(40)]
    began = time.perf_counter()
    for ask_id in wanted:
        publisher.post(ask_id)
    posting = time.perf_counter() - began
    assert threading.active_count() == before + 1
    publisher.close()
    queue.close()
    assert sent(store) == wanted
    assert posting < time.perf_counter() - began


def test_without_a_broker_nobody_waits_and_nothing_piles_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    warned: list[int] = []
    monkeypatch.setattr(
        "wire.publisher.log.warning", lambda _, messages: warned.append(messages), raising=False
    )
    url = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    queue = Queue(WireSettings(redis_url=url))
    publisher = Publisher(queue)
    began = time.perf_counter()
    for number in range(50):
        publisher.post(f"ask_{number:08}")
    assert time.perf_counter() - began < 0.2
    publisher.close()
    assert time.perf_counter() - began < 2.5
    queue.close()
    assert sum(warned) == 50
    assert len(warned) <= 3


def test_a_broker_that_comes_back_is_used_again(
    redis_server: RedisServer, wire_settings: WireSettings
) -> None:
    queue = Queue(wire_settings)
    publisher = Publisher(queue)
    publisher.post("ask_00000001")
    store = Store(wire_settings)
    while sent(store) != ["ask_00000001"]:
        time.sleep(0.01)
    redis_server.kill()
    publisher.post("ask_00000002")
    time.sleep(1.5)
    redis_server.start()
    publisher.post("ask_00000003")
    publisher.close()
    queue.close()
    assert "ask_00000003" in sent(store)
    store.close()
