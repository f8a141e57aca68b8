"""How often a key may ask: a leaky bucket in the cache's Redis, shared by all gateways.

GCRA: one number per key, the moment at which its bucket is empty again. Nothing here knows what
is asked for.
"""

from typing import Any

from wire.store import AsyncStore, in_wire_errors

TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local gap, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local empty_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = empty_at + gap - gap * burst - now
if wait > 0 then return math.ceil(wait) end
redis.call('SET', KEYS[1], empty_at + gap, 'PX', math.ceil(empty_at + gap - now) + 1000)
return 0
"""


class Pace:
    """Takes one ask out of a key's bucket."""

    def __init__(self, store: AsyncStore) -> None:
        self._prefix = f"{store.settings.namespace}:pace:"
        self._take: Any = store.cache.register_script(TAKE)

    async def wait_seconds(self, name: str, per_minute: float, burst: int) -> float:
        """0 when the ask may go ahead now, else how long until it might."""
        gap_ms = 60_000 / per_minute
        with in_wire_errors():
            wait_ms = await self._take(keys=[self._prefix + name], args=[gap_ms, burst])
        return float(wait_ms) / 1000
