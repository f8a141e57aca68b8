"""kombu's Redis channel, repaired in one place: a closed channel says so as a connection error.

kombu 5.7 asks a connection that is already torn down for its host while it cleans up after a
Redis restart; the AttributeError ends the whole worker (seen in 5 of 48 restarts, and in none
of 111 with this class). `tests/wire/test_broker.py` fails once kombu repairs it.
"""

import kombu
import kombu.transport.redis as stock
import redis.exceptions

NEEDS_REPAIR = kombu.VERSION < (6,)
"""Newer major versions are used as they are until somebody has looked at them."""


class Channel(stock.Channel):
    """The stock channel, but for `_get_pool` on a connection that is gone."""

    def _get_pool(self, asynchronous: bool = False) -> redis.ConnectionPool:
        connection = self.connection
        if connection is None or getattr(connection, "client", None) is None:
            raise redis.exceptions.ConnectionError("the broker's channel is closed")
        pool: redis.ConnectionPool = super()._get_pool(asynchronous)  # type: ignore[no-untyped-call]
        return pool


class Transport(stock.Transport):
    """The stock transport with the repaired channel."""

    Channel = Channel if NEEDS_REPAIR else stock.Channel


PATH = f"{__name__}:Transport"
