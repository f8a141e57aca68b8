"""The asks this process holds: keeps their leases alive, and hears of cancels within 0.2 s.

Two threads: one renews every third of a lease, one listens for cancels; a cancel that is not
heard is learnt at the next renewal. What an ask is, and engines, are not known here.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from wire.errors import StoreUnavailable
from wire.ledger import Ledger
from wire.store import Store, in_wire_errors
from worker.ticker import Ticker

LISTEN_SECONDS = 0.2


class Leases:
    """Pairs of ask and attempt under lease; `on_cancel` and `on_lost` get the ask's id."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        on_cancel: Callable[[str], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._store, self._ledger = store, ledger
        self._on_cancel, self._on_lost = on_cancel, on_lost
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()
        lease = store.settings.lease_seconds
        self._renewing = Ticker("leases", lease / 3, self._renew)
        self._listening = Ticker("cancels", 0.01, self._listen)
        self._subscription: Any = None

    def start(self) -> None:
        """Start both threads."""
        self._renewing.start()
        self._listening.start()

    def stop(self) -> None:
        """Stop both threads; leases then end by themselves."""
        self._renewing.stop()
        self._listening.stop()

    def hold(self, ask_id: str, attempt: int) -> None:
        """Keep a lease alive from now on."""
        with self._lock:
            self._held[ask_id] = attempt

    def let_go(self, ask_id: str, attempt: int) -> None:
        """Renew no longer; a later attempt of the same ask in this process is not touched."""
        with self._lock:
            if self._held.get(ask_id) == attempt:
                del self._held[ask_id]

    @property
    def held(self) -> tuple[tuple[str, int], ...]:
        """All `(ask_id, attempt)` under lease."""
        with self._lock:
            return tuple(self._held.items())

    def _renew(self) -> None:
        held = self.held
        for (ask_id, _), word in zip(held, self._ledger.renew(held), strict=True):
            if word == "cancel":
                self._on_cancel(ask_id)
            elif word == "lost":
                self._on_lost(ask_id)

    def _listen(self) -> None:
        """Wait a moment for a cancel; after a broken connection, subscribe anew."""
        try:
            with in_wire_errors():
                if self._subscription is None:
                    subscription: Any = self._store.text.pubsub(  # type: ignore[no-untyped-call]
                        ignore_subscribe_messages=True
                    )
                    subscription.subscribe(f"{self._store.settings.namespace}:cancel")
                    self._subscription = subscription
                message = self._subscription.get_message(timeout=LISTEN_SECONDS)
        except StoreUnavailable:
            self._forget_subscription()
            raise
        if message is not None and message["data"] in dict(self.held):
            self._on_cancel(message["data"])

    def _forget_subscription(self) -> None:
        if self._subscription is not None:
            with suppress(RedisError, OSError):
                self._subscription.close()
            self._subscription = None
