"""What the tests of the wire share: a real Redis, and asks to put into it."""

from collections.abc import Iterator

import pytest

from tests.redis_server import redis_server, wire_settings
from wire.ledger import Ledger
from wire.settings import WireSettings
from wire.store import Store

__all__ = ["ledger", "redis_server", "store", "wire_settings"]


@pytest.fixture
def store(wire_settings: WireSettings) -> Iterator[Store]:
    store = Store(wire_settings)
    yield store
    store.close()


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return Ledger(store)
