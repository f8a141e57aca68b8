"""The repaired channel, and tests that fail on the day when kombu repairs it itself."""

from logging import getLogger
from pathlib import Path

import kombu.transport.redis as stock
import pytest
import redis.exceptions
from kombu import Connection, Consumer, Message, Producer, Queue

from tests.redis_server import RedisServer, find_binary
from wire import broker
from wire.settings import WireSettings


def torn_down(transport: type[stock.Transport], url: str) -> stock.Channel:
    """A channel whose connection is gone, as after a restart of Redis."""
    connection = Connection(url, transport=transport)
    channel = connection.channel()
    channel.connection.client = None
    return channel


def test_a_closed_channel_raises_a_connection_error(wire_settings: WireSettings) -> None:
    channel = torn_down(broker.Transport, wire_settings.broker)
    with pytest.raises(redis.exceptions.ConnectionError):
        channel._get_pool()
    transport = broker.Transport
    assert redis.exceptions.ConnectionError in transport.connection_errors


def test_upstream_still_needs_the_repair(wire_settings: WireSettings) -> None:
    channel = torn_down(stock.Transport, wire_settings.broker)
    try:
        channel._get_pool()
    except AttributeError:
        return
    except Exception as error:
        pytest.fail(f"kombu now raises {type(error).__name__}: remove wire/broker.py's Channel")
    pytest.fail("kombu no longer fails here: remove wire/broker.py's Channel")


def test_an_open_channel_works(wire_settings: WireSettings) -> None:
    with Connection(wire_settings.broker, transport=broker.Transport) as connection:
        queue = connection.SimpleQueue("probe")
        queue.put("hello")
        message = queue.get(timeout=2)
        assert message.payload == "hello"
        message.ack()
        queue.close()


def credit_after_a_lost_ack(transport: type[stock.Transport], folder: Path) -> tuple[bool, bool]:
    """Whether a consumer of one message at a time may have another: before and after its ack.

    Redis is gone by the time of the ack, as it is for a worker whose network has failed.
    """
    binary = find_binary()
    assert binary is not None
    server = RedisServer(folder, binary=binary)
    server.start()
    options = {"socket_connect_timeout": 1, "socket_timeout": 2}
    connection = Connection(server.url, transport=transport, transport_options=options)
    taken: list[Message] = []
    try:
        channel = connection.channel()
        queue = Queue("probe", channel=channel)
        queue.declare()
        Producer(channel).publish("look", routing_key="probe")
        channel.basic_qos(0, 1, False)
        channel.qos.restore_at_shutdown = False  # there will be no Redis to give it back to
        consumer = Consumer(channel, [queue], on_message=taken.append)
        consumer.consume()
        connection.drain_events(timeout=3)
        before = channel.qos.can_consume()
        server.kill()
        taken[0].ack_log_error(getLogger("probe"), connection.connection_errors)
        return before, channel.qos.can_consume()
    finally:
        server.kill()


def test_a_lost_ack_gives_its_credit_back(tmp_path: Path) -> None:
    """Else a worker whose acks were lost never takes a message again, though its Redis is back."""
    assert credit_after_a_lost_ack(broker.Transport, tmp_path) == (False, True)


def test_upstream_still_keeps_the_credit(tmp_path: Path) -> None:
    assert credit_after_a_lost_ack(stock.Transport, tmp_path) == (False, False), (
        "kombu now gives the credit back: remove wire/broker.py's QoS"
    )
