"""What an ear takes up of the bells it hears; without a store."""

import asyncio

from wire.doorbell import MOST_UNHEARD, Ear


def test_what_bells_tell_is_taken_up_only_where_nothing_is_missing() -> None:
    async def story() -> None:
        ear = Ear(look=False)
        ear.ring("0-0", [("5-0", "a"), ("5-1", "b")])
        ear.ring("5-1", [("10-0", "c")])
        assert await ear.rows_after("0-0") == [("5-0", "a"), ("5-1", "b"), ("10-0", "c")]
        ear.ring("5-1", [("10-0", "c")])
        assert await ear.rows_after("10-0") == []  # read already
        ear.ring("10-0", [("11-0", "d")])
        ear.ring("12-0", [("13-0", "f")])  # the bell of e was missed
        assert await ear.rows_after("10-0") is None
        ear.ring("13-0", [("14-0", "g")])
        ear.ring()
        assert await ear.rows_after("13-0") is None
        for _ in range(MOST_UNHEARD + 1):
            ear.ring("14-0", [("15-0", "h")])
        assert await ear.rows_after("14-0") is None
        assert await Ear(look=True).rows_after("0-0") is None

    asyncio.run(story())
