"""Answers that were given before, kept in the Redis for caches under everything that decides them.

A cache that is down or full is a cache that has nothing, unless it is the durable Redis: then
nothing else would work either. Joining an ask in flight is the ledger's (`submit(flight=…)`).
"""

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from wire.errors import StoreUnavailable
from wire.messages import Ask, Done
from wire.store import AsyncStore, in_wire_errors

AWAY_SECONDS = 1.0
# What names one asking and not the question; everything else decides the answer.
NOT_DECIDING = {"ask_id", "deadline", "traceparent"}


def is_repeatable(ask: Ask) -> bool:
    """Whether the same ask has the same answer: decoded greedily, or sampled with a seed."""
    return ask.generation.temperature == 0 or ask.generation.seed is not None


def answer_key(ask: Ask, *, model: str, revision: str, tenant: str = "") -> str:
    """SHA-256 over pictures in order, texts, every param, the model's revision and the tenant.

    The tenant is part of it, so that a hit never tells one tenant what another one asked.
    """
    said = ask.model_dump(mode="json", exclude=NOT_DECIDING)
    whole = {"ask": said, "model": model, "revision": revision, "tenant": tenant}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer given before, and how long ago."""

    done: Done
    age_seconds: float


class AsyncAnswers:
    """The result cache."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._prefix = f"{store.settings.namespace}:answer:"
        self._ttl_seconds = store.settings.answer_ttl_seconds
        self._away_until = float("-inf")

    async def get(self, key: str) -> StoredAnswer | None:
        """The stored answer; None when there is none or a cache of its own does not answer.

        A silent cache costs one ask the time to notice; those of the next second pass it by.
        """
        settings = self._store.settings
        if time.monotonic() < self._away_until:
            return None
        try:
            with in_wire_errors():
                text: Any = await self._store.cached.do("GET", self._prefix + key)
        except StoreUnavailable:
            if settings.cache_url == settings.durable_url:
                raise
            self._away_until = time.monotonic() + AWAY_SECONDS
            return None
        if text is None:
            return None
        try:
            stored_at, _, body = text.partition(" ")
            done = Done.model_validate_json(body)
            return StoredAnswer(done, max(0.0, time.time() - float(stored_at)))
        except (ValidationError, ValueError):  # written by another version
            return None

    async def put(self, key: str, done: Done) -> None:
        """Keep an answer; silently nothing when the cache does not answer."""
        text = f"{time.time():.3f} {done.model_dump_json()}"
        try:
            with in_wire_errors():
                name = self._prefix + key
                await self._store.cached.do("SET", name, text, "EX", self._ttl_seconds)
        except StoreUnavailable:
            return
