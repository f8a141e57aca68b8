"""Remembers for a moment that the ledger had no room for a tenant, so that saying so is cheap.

Under overload nearly every ask is refused, and one that is refused before its pictures are
decoded and stored costs next to nothing. Only asks that would be refused again are turned away;
every so often one goes to look whether there is room by now.
"""

import time
from dataclasses import dataclass, replace

from service.problems import Problem
from wire.records import Refused

HOLDS_SECONDS = 0.5
"""Less than any `Retry-After`; noticing room so late costs no capacity, as others wait in line."""
READING_SECONDS = 0.5
"""The refused ask had spent a part of its time on being read; so will the next."""
MOST_TENANTS = 10_000
DETAILS = {
    "too_many_open": "Too many asks are waiting; try again later.",
    "too_many_of_tenant": "Too many of your asks are waiting; try again when some have ended.",
    "wait_too_long": "The queue is longer than `timeout_seconds`; raise it or try later.",
}


@dataclass(frozen=True, slots=True)
class _Refusal:
    refused: Refused
    patience_seconds: float
    until: float


class Crowd:
    """The last refusal of each tenant, while it holds."""

    def __init__(self) -> None:
        self._refusals: dict[str, _Refusal] = {}

    def note(self, tenant: str, refused: Refused, patience_seconds: float) -> None:
        """Remember a refusal of an ask that would have waited for `patience_seconds`."""
        if refused.reason == "deadline_passed":
            return
        if len(self._refusals) >= MOST_TENANTS:
            self._refusals.clear()
        until = time.monotonic() + HOLDS_SECONDS
        self._refusals[tenant] = _Refusal(refused, patience_seconds, until)

    def forget(self, tenant: str) -> None:
        """An ask of this tenant was let in or has ended: there may be room again."""
        self._refusals.pop(tenant, None)

    def check(self, tenant: str, patience_seconds: float) -> bool:
        """Raise Problem where an ask of this tenant was refused a moment ago that asked no more.

        True: that was longer ago, so the ledger should be asked first whether there is room.
        """
        kept = self._refusals.get(tenant)
        if kept is None:
            return False
        now = time.monotonic()
        if now >= kept.until:  # this one goes to look; the others need not, while it does
            self._refusals[tenant] = replace(kept, until=now + HOLDS_SECONDS)
            return True
        more = patience_seconds - kept.patience_seconds
        if kept.refused.reason != "wait_too_long" or more <= READING_SECONDS:
            raise no_room(kept.refused)
        return False


def no_room(refused: Refused) -> Problem:
    """What the ledger's refusal is told as."""
    if refused.reason == "deadline_passed":
        return Problem("expired", "The time was up at the door; raise `timeout_seconds`.")
    seconds = max(1, round(refused.retry_after_seconds + 0.5))
    return Problem("overloaded", DETAILS[refused.reason], headers={"Retry-After": str(seconds)})
