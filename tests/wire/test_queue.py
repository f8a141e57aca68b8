"""The queue: one small JSON message, quick errors without a broker, and settings with reasons."""

import json
import pickle
import time

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads
from pydantic import SecretStr, ValidationError

from tests.redis_server import free_port
from wire.errors import StoreUnavailable
from wire.queue import TASK, Queue, celery_app
from wire.settings import WireSettings
from wire.store import Store


def test_a_message_is_small_json_with_the_id_alone(
    wire_settings: WireSettings, store: Store
) -> None:
    queue = Queue(wire_settings)
    queue.send("ask_12345678")
    (raw,) = store.text.lrange("myopia.asks", 0, -1)
    assert len(raw) < 1200
    message = json.loads(raw)
    assert message["headers"]["task"] == TASK
    assert message["content-type"] == "application/json"
    assert "ask_12345678" in message["headers"]["argsrepr"]
    queue.close()


def test_without_a_broker_an_error_comes_within_a_second() -> None:
    url = SecretStr(f"redis://127.0.0.1:{free_port()}/0")
    queue = Queue(WireSettings(redis_url=url))
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(StoreUnavailable):
            queue.send("ask_12345678")
        assert time.monotonic() - began < 1


def test_the_worker_s_settings_are_the_safe_ones(wire_settings: WireSettings) -> None:
    conf = celery_app(wire_settings, "worker", 7).conf
    assert conf.worker_pool == "threads"
    assert conf.worker_concurrency == 7
    assert conf.worker_prefetch_multiplier == 1
    assert conf.task_acks_late
    assert conf.accept_content == ["json"]
    assert conf.task_serializer == "json"
    assert conf.result_backend is None
    assert conf.task_ignore_result
    assert not conf.worker_enable_remote_control
    assert not conf.worker_send_task_events
    assert conf.broker_transport == "wire.broker:Transport"


def test_pickle_is_not_read(wire_settings: WireSettings) -> None:
    accept = celery_app(wire_settings, "worker").conf.accept_content
    with pytest.raises(ContentDisallowed):
        loads(pickle.dumps(1), "application/x-python-serialize", "binary", accept)


@pytest.mark.parametrize("url", ["http://x", "localhost:6379", "memory://"])
def test_a_wrong_url_names_its_setting(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        WireSettings(redis_url=SecretStr(url))
    assert caught.value.errors()[0]["loc"] == ("redis_url",)


def test_urls_do_not_show_in_a_printed_setting() -> None:
    assert "hidden" not in repr(WireSettings(redis_url=SecretStr("redis://:hidden@h:1/0")))
