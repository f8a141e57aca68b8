"""The durable record of every ask, and who may work on it. The truth; the queue only says "look".

Each method is one script on the server, atomic, by the server's clock, harmless when run twice.
`Ledger` is the worker's side, `AsyncLedger` the gateway's. What an answer is, is not known here.
"""

import uuid
from collections.abc import Sequence

from wire import calls
from wire.messages import Ask, Done, Failed
from wire.records import (
    Cancelled,
    Claim,
    Counters,
    Ending,
    Finished,
    Later,
    Piece,
    Reaped,
    Record,
    Refused,
    Released,
    Renewed,
    Room,
    State,
    Submitted,
    Told,
)
from wire.store import AsyncStore, Store
from wire.workers import Fleet

MOST_REAPED = 200
"""Asks of one kind that one reaping touches, so that a script never holds the server long."""


class Ledger:
    """What a worker does with asks."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._settings = store.settings

    def submit(
        self, ask: Ask, *, tenant: str = "", room: Room | None = None, flight: str | None = None
    ) -> Submitted:
        """As `AsyncLedger.submit`."""
        room = room or Room()
        return self._store.run(
            calls.submit(ask, tenant=tenant, room=room, flight=flight, settings=self._settings)
        )

    def claim(self, worker_id: str, look: str, nonce: str | None = None) -> Claim | None:
        """Take the ask whose turn it is: tenants in turn, oldest first within one.

        `look` is the id of the message that arrived; it is spent, whichever ask is handed out.
        Repeat with the same `nonce` after `StoreUnavailable` to get the same claim.
        """
        claim = self.claim_or_leave(worker_id, look, nonce, leaving=False)
        assert not isinstance(claim, Later)
        return claim

    def claim_or_leave(
        self, worker_id: str, look: str, nonce: str | None = None, *, leaving: bool = True
    ) -> Claim | Later | None:
        """As `claim`, but an ask may be left to an idle worker that has read its pictures.

        After `Later` the message is not spent: whoever got it claims again, and no ask is lost.
        """
        nonce = nonce or uuid.uuid4().hex
        return self._store.run(calls.claim(worker_id, look, nonce, self._settings, leaving=leaving))

    def start(self, ask_id: str, attempt: int) -> bool:
        """Say that an ask claimed as `alone` now runs; False: it is no longer ours."""
        return self._store.run(calls.start(ask_id, attempt))

    def renew(self, held: Sequence[tuple[str, int]]) -> tuple[Renewed, ...]:
        """Extend the leases of `(ask_id, attempt)` pairs; says for each whether to go on."""
        return self._store.run(calls.renew(held, self._settings.lease_seconds)) if held else ()

    def append(self, ask_id: str, attempt: int, piece: Piece) -> Renewed | Told:
        """Add a piece to the events, unless the ask was lost to another attempt.

        `Told`: the piece does not begin where the events of this attempt end; see there.
        """
        return self._store.run(calls.append(ask_id, attempt, piece))

    def finish(
        self,
        ask_id: str,
        attempt: int,
        state: Ending,
        ending: Done | Failed,
        last: Piece | None = None,
    ) -> Finished | Told:
        """End the ask: state, counters and the one ending among its events, in one step.

        `last` goes before the ending, and may be empty; only with one can the reply be `Told`.
        """
        return self._store.run(calls.finish(ask_id, attempt, state, ending, last))

    def release(self, ask_id: str, attempt: int, *, blame: str | None = None) -> Released:
        """Give an unfinished ask back to the queue; after `queued`, send its id.

        With `blame` (an error for which the ask may be responsible) it counts as a death.
        """
        return self._store.run(calls.release(ask_id, attempt, blame=blame))

    def reap(self, *, idle: bool) -> Reaped:
        """As `AsyncLedger.reap`."""
        s = self._settings
        return self._store.run(
            calls.reap(s.lease_seconds, s.look_delay_seconds, idle=idle, most=MOST_REAPED)
        )

    def get(self, ask_id: str) -> Record | None:
        """Read one record, None when the store has none."""
        return self._store.run(calls.look_up(ask_id))

    def counters(self) -> Counters:
        """All counters, read in one step."""
        return self._store.run(calls.counters())


class AsyncLedger:
    """What a gateway does with asks."""

    def __init__(self, store: AsyncStore) -> None:
        self._store = store
        self._settings = store.settings

    async def submit(
        self,
        ask: Ask,
        *,
        tenant: str = "",
        room: Room | None = None,
        flight: str | None = None,
        message: str = "",
    ) -> Submitted:
        """Let an ask in, or say why not; the pictures it names live on from now.

        `tenant` is whose turn it counts as (any short text, "" without keys). `flight` is the
        key of everything that decides the answer, tenant included: where the same is in flight
        or was done within the last seconds, the reply is `Joined`. None never joins. After
        `Accepted`, and only then, send the id to the queue, unless the `message` for it was given
        here (`Queue.postcard`) and posted in the same step; should sending fail, the ask is still
        accepted and the reaper sends it. A repeat with the same ask_id is accepted once.
        """
        room = room or Room()
        return await self._store.run(
            calls.submit(
                ask,
                tenant=tenant,
                room=room,
                flight=flight,
                settings=self._settings,
                message=message,
            )
        )

    async def get(self, ask_id: str, fleet: Fleet | None = None) -> Record | None:
        """Read one record, None when the store has none.

        With the live workers, a queued ask's `place` is read in the same step: O(log N + T) on
        the server, T the tenants (1000 at most) whose turn comes before.
        """
        if fleet is None:
            return await self._store.run(calls.look_up(ask_id))
        return await self._store.run(calls.look_up(ask_id, fleet.slots, fleet.service_seconds))

    async def answer_again(self, ask: Ask, done: Done, *, tenant: str = "") -> bool:
        """Write down an ask that got a stored answer: looked up, followed and listed like others.

        It is accepted and done in one step; no worker hears of it. Its two events, one token and
        `done`, have the ids 1-1 and 1-2. False: this ask_id is known already.
        """
        return await self._store.run(calls.answer_again(ask, tenant=tenant, done=done))

    async def expected_wait_seconds(self, tenant: str, fleet: Fleet) -> float | None:
        """How long an ask of this tenant would wait that came now; None without workers."""
        return await self._store.run(calls.in_line(tenant, fleet.slots, fleet.service_seconds))

    async def refusal(self, tenant: str, patience_seconds: float, room: Room) -> Refused | None:
        """Why an ask of this tenant with so much time would be refused now; None: it would not."""
        return await self._store.run(calls.look_for_room(tenant, patience_seconds, room))

    async def cancel(self, ask_id: str, *, everyone: bool = False) -> Cancelled:
        """One asker leaves; the last one to leave (or `everyone`) cancels the ask."""
        return await self._store.run(calls.cancel(ask_id, everyone=everyone))

    async def page(
        self,
        cursor: int | None = None,
        limit: int = 50,
        state: State | None = None,
        tenant: str | None = None,
    ) -> tuple[tuple[Record, ...], int | None]:
        """Read up to `limit` records, newest first; the second value continues, None: no more.

        A page may be short of `limit` while more follow, when a filter drops records.
        """
        return await self._store.run(calls.page(cursor, limit, state, tenant))

    async def retry(self, ask_id: str, deadline: float) -> bool:
        """Queue a dead ask again until `deadline`; send its id after True. False: not dead."""
        return await self._store.run(calls.retry(ask_id, deadline))

    async def reap(self, *, idle: bool) -> Reaped:
        """Find what died; any process may, each second, and several at once do no harm.

        `idle`: some live worker waits in vain (`Fleet.idle`), so that a message which nobody
        looked at for `look_delay_seconds` must be lost. Send every id of `resend`.
        """
        s = self._settings
        return await self._store.run(
            calls.reap(s.lease_seconds, s.look_delay_seconds, idle=idle, most=MOST_REAPED)
        )

    async def counters(self) -> Counters:
        """All counters, read in one step."""
        return await self._store.run(calls.counters())
