"""kombu's Redis channel, repaired in two places; and a connection that comes back sooner.

kombu 5.7 asks a connection that is already torn down for its host while it cleans up after a
Redis restart; the AttributeError ends the whole worker (seen in 5 of 48 restarts, and in none
of 111 with this class). And when an ack is lost with the network it keeps the message's place
among those that a worker may hold: once all were lost so, the worker asked for no message any
more and noticed no failure, as long as it lived (seen after a network that was gone for 60 s).
`tests/wire/test_broker.py` fails once kombu repairs either.
"""

from typing import Any

import kombu
import kombu.connection as stock_connection
import kombu.transport.redis as stock
import redis.exceptions
from celery.app.amqp import AMQP
from kombu.transport import virtual

NEEDS_REPAIR = kombu.VERSION < (6,)
"""Newer major versions are used as they are until somebody has looked at them."""


class QoS(stock.QoS):
    """The stock count of messages held, which a lost ack lowers too.

    Redis gives such a message out again after `visibility_timeout`; by then the ledger knows it.
    """

    def ack(self, delivery_tag: str) -> None:
        """Tell Redis, and forget the message whether or not Redis heard it."""
        try:
            self._remove_from_indices(delivery_tag).execute()  # type: ignore[no-untyped-call]
        finally:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """The same for a message that is put back, or dropped."""
        try:
            super().reject(delivery_tag, requeue)  # type: ignore[no-untyped-call]
        except stock.Transport.connection_errors:
            virtual.QoS.ack(self, delivery_tag)  # type: ignore[no-untyped-call]
            raise


class Channel(stock.Channel):
    """The stock channel, but for its count, and `_get_pool` on a connection that is gone."""

    QoS = QoS

    def _get_pool(self, asynchronous: bool = False) -> redis.ConnectionPool:
        connection = self.connection
        if connection is None or getattr(connection, "client", None) is None:
            raise redis.exceptions.ConnectionError("the broker's channel is closed")
        pool: redis.ConnectionPool = super()._get_pool(asynchronous)  # type: ignore[no-untyped-call]
        return pool


class Transport(stock.Transport):
    """The stock transport with the repaired channel."""

    Channel = Channel if NEEDS_REPAIR else stock.Channel


class Connection(stock_connection.Connection):
    """The stock connection, which waits 2, 4, 6, … seconds between its first attempts.

    A Redis that restarts in two seconds was then found after six; there is no setting for it.
    """

    def ensure_connection(
        self,
        errback: Any = None,  # noqa: ANN401  kombu's own signature is untyped
        max_retries: int | None = None,
        interval_start: float = 0.2,
        interval_step: float = 0.2,
        interval_max: float = 3,
        **more: Any,  # noqa: ANN401
    ) -> stock_connection.Connection:
        """Connect, trying again soon."""
        connected: stock_connection.Connection = super().ensure_connection(  # type: ignore[no-untyped-call]
            errback, max_retries, interval_start, interval_step, interval_max, **more
        )
        return connected


class Protocol(AMQP):  # type: ignore[misc]
    """Celery's messaging with that connection."""

    Connection = Connection


TRANSPORT = f"{__name__}:Transport"
PROTOCOL = f"{__name__}:Protocol"
