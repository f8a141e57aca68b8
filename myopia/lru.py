"""A dictionary that forgets what was least recently used once its values' bytes pass a limit.

Nothing here knows what is kept.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteLru(Generic[K, V]):
    """Values by key, at most `limit_bytes` of them; a value above the limit is not kept at all."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0
        self.hits = 0
        self.misses = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: K) -> bool:
        """Whether it is there; counts neither as a use nor as a miss."""
        return key in self._entries

    def get(self, key: K) -> V | None:
        """Look a value up and mark it as used."""
        found = self._entries.get(key)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, size_bytes: int) -> list[tuple[K, V]]:
        """Keep a value; what the limit makes it forget for that comes back, oldest first.

        A value above the limit comes straight back.
        """
        self.drop(key)
        if size_bytes > self.limit_bytes:
            return [(key, value)]
        self._entries[key] = (value, size_bytes)
        self.held_bytes += size_bytes
        forgotten = []
        while self.held_bytes > self.limit_bytes:
            oldest, (one, size) = self._entries.popitem(last=False)
            self.held_bytes -= size
            forgotten.append((oldest, one))
        return forgotten

    def drop(self, key: K) -> None:
        """Forget a value if it is there."""
        if key in self._entries:
            self.held_bytes -= self._entries.pop(key)[1]
