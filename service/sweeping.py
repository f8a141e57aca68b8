"""Removes pictures from the bucket when their time is up; every gateway does, in turns.

Redis forgets by itself, a bucket does not. Nothing here knows HTTP.
"""

import asyncio

import structlog

from wire.errors import StoreUnavailable
from wire.mailbox import AsyncMailbox

SWEEP_INTERVAL_SECONDS = 5.0
log = structlog.get_logger(__name__)


async def sweep_forever(mailbox: AsyncMailbox) -> None:
    """Sweep every few seconds, and on at once while there is more."""
    await mailbox.open()
    while True:
        await asyncio.sleep(SWEEP_INTERVAL_SECONDS)
        try:
            while await mailbox.sweep():
                pass
        except StoreUnavailable as error:
            log.debug("nothing swept", cause=str(error))
