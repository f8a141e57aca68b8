"""The header `Prefer` (RFC 7240): `respond-async` and `wait=N`, in the words of the contract."""

import re
from dataclasses import dataclass

WAIT = re.compile(r"wait\s*=\s*\"?(\d{1,6})\"?")
MOST_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Preference:
    """Whether the asker takes a 202, and after how many seconds of waiting."""

    asynchronous: bool = False
    wait_seconds: int = 0


def preference(header: str | None) -> Preference:
    """Read the header; what is not known in it is ignored, as its RFC says.

    `wait` alone means the same as with `respond-async`: the answer if it comes in time.
    """
    asynchronous, wait_seconds = False, None
    for part in (header or "").lower().split(","):
        word = part.split(";")[0].strip()
        waits = WAIT.fullmatch(word)
        if word == "respond-async":
            asynchronous = True
        elif waits:
            wait_seconds = min(MOST_SECONDS, int(waits[1]))
    return Preference(asynchronous or wait_seconds is not None, wait_seconds or 0)
