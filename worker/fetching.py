"""Gets an ask's pictures, also when their store has to come back first.

A store that is away is no fault of the ask: it is waited for up to the ask's deadline, or until
patience ends and another worker, which may reach it, gets the ask. What a store is, is not known
here.
"""

import time
from collections.abc import Callable

import structlog

from myopia.errors import Expired
from wire.errors import StoreUnavailable
from worker.translate import Fetch

log = structlog.get_logger()
FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0


def patient(
    fetch: Fetch, *, deadline: float, patience_seconds: float, stopping: Callable[[], bool]
) -> Fetch:
    """`fetch` that tries again; raises StoreUnavailable after patience or when this worker stops.

    `deadline` is in unix seconds; after it, Expired.
    """
    give_up_at = time.monotonic() + patience_seconds

    def get(digest: str) -> bytes | None:
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                return fetch(digest)
            except StoreUnavailable as error:
                if pause == FIRST_PAUSE_SECONDS:
                    log.warning("picture is waited for", digest=digest, cause=str(error))
                if time.time() >= deadline:
                    raise Expired("The deadline passed before the pictures were there.") from error
                if time.monotonic() > give_up_at or stopping():
                    raise
            time.sleep(min(pause, max(0.0, deadline - time.time())))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    return get
