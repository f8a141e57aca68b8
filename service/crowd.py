"""Remembers for a moment that the ledger had no room for a tenant, so that saying so is cheap.

Under overload nearly every ask is refused, and one that is refused before its pictures are
decoded and stored costs next to nothing. Only asks that would be refused again are turned away,
and for a while after a refusal the others look first whether there is room by now.
"""

import time
from dataclasses import dataclass

from service.problems import Problem
from wire.records import Refused

HOLDS_SECONDS = 0.5
"""Less than any `Retry-After`; noticing room so late costs no capacity, as others wait in line."""
CROWDED_SECONDS = 10.0
"""So long after a refusal it is worth a round trip to look for room before anything else."""
READING_SECONDS = 0.5
"""The refused ask had spent a part of its time on being read; so will the next."""
MOST_TENANTS = 10_000
DETAILS = {
    "too_many_open": "Too many asks are waiting; try again later.",
    "too_many_of_tenant": "Too many of your asks are waiting; try again when some have ended.",
    "wait_too_long": "The queue is longer than `timeout_seconds`; raise it or try later.",
}


@dataclass(slots=True)
class _Refusal:
    refused: Refused
    patience_seconds: float
    noted_at: float
    holds_until: float


class Crowd:
    """The last refusal of each tenant, while it matters."""

    def __init__(self) -> None:
        self._refusals: dict[str, _Refusal] = {}

    def note(self, tenant: str, refused: Refused, patience_seconds: float) -> None:
        """Remember a refusal of an ask that would have waited for `patience_seconds`."""
        if refused.reason == "deadline_passed":
            return
        if len(self._refusals) >= MOST_TENANTS:
            self._refusals.clear()
        now = time.monotonic()
        self._refusals[tenant] = _Refusal(refused, patience_seconds, now, now + HOLDS_SECONDS)

    def change(self, tenant: str) -> None:
        """An ask of this tenant was let in or has ended: there may be room again."""
        kept = self._refusals.get(tenant)
        if kept is not None:
            kept.holds_until = float("-inf")

    def check(self, tenant: str, patience_seconds: float) -> bool:
        """Raise Problem where an ask of this tenant was refused a moment ago that asked no more.

        True: that was longer ago, so look first whether there is room.
        """
        kept = self._refusals.get(tenant)
        if kept is None:
            return False
        now = time.monotonic()
        if now >= kept.noted_at + CROWDED_SECONDS:
            del self._refusals[tenant]
            return False
        more = patience_seconds - kept.patience_seconds
        applies = kept.refused.reason != "wait_too_long" or more <= READING_SECONDS
        if applies and now < kept.holds_until:
            raise no_room(kept.refused)
        return True


def no_room(refused: Refused) -> Problem:
    """What the ledger's refusal is told as."""
    if refused.reason == "deadline_passed":
        return Problem("expired", "The time was up at the door; raise `timeout_seconds`.")
    seconds = max(1, round(refused.retry_after_seconds + 0.5))
    return Problem("overloaded", DETAILS[refused.reason], headers={"Retry-After": str(seconds)})
