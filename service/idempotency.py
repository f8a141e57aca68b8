"""`Idempotency-Key`: the same key and body within a day is the same ask, another body an error.

A key is bound to an ask id before the ask is let in; the ledger accepts one id once, so a repeat
at any moment, even while the first is lost between two steps, leads to one ask.
"""

import hashlib
import json
import re

from service.desk import Desk
from service.dispatch import Wanted
from service.problems import Problem
from wire.store import in_wire_errors

KEPT_SECONDS = 86_400
KEY = re.compile(r"[\x21-\x7e]{1,255}")
NOT_COMPARED = {"ask_id", "deadline", "traceparent"}


async def bind(desk: Desk, wanted: Wanted, key: str | None) -> str:
    """The ask id that this key stands for from now on: the ask's own, or an earlier one's."""
    if key is None:
        return wanted.ask.ask_id
    if not KEY.fullmatch(key):
        raise Problem(
            "bad_request",
            "`Idempotency-Key` must have 1 to 255 visible ASCII characters; send a UUID.",
            field="/Idempotency-Key",
        )
    settings = desk.settings
    named = hashlib.sha256(f"{wanted.tenant}\n{key}".encode()).hexdigest()
    name = f"{settings.namespace}:idempotent:{named}"
    mine = f"{fingerprint(wanted)} {wanted.ask.ask_id}"
    with in_wire_errors():
        # In two steps: `SET NX GET` in one needs Redis 7.
        if await desk.store.text.set(name, mine, nx=True, ex=KEPT_SECONDS):
            return wanted.ask.ask_id
        earlier = await desk.store.text.get(name)
    if earlier is None:  # forgotten between the two
        return wanted.ask.ask_id
    its_fingerprint, _, ask_id = str(earlier).partition(" ")
    if its_fingerprint != fingerprint(wanted):
        raise Problem(
            "bad_request",
            "This `Idempotency-Key` was sent with another ask; send a new key with this one.",
            field="/Idempotency-Key",
        )
    return ask_id


def fingerprint(wanted: Wanted) -> str:
    """SHA-256 of everything that was asked, its time apart."""
    said = wanted.ask.model_dump(mode="json", exclude=NOT_COMPARED)
    whole = json.dumps({"ask": said, "cache": wanted.cache}, sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()
