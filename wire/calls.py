"""Every transition of the ledger as data: which script runs, on what, and what its reply means.

One definition serves the worker's blocking client and the gateway's asyncio one. Nothing here
talks to Redis; the scripts themselves lie in `wire/lua`, and the keys' names only there.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from wire.messages import EVENT, Ask, Done, Failed, Token
from wire.records import (
    Accepted,
    Cancelled,
    Claim,
    Counters,
    Ending,
    Finished,
    Joined,
    Later,
    Missing,
    Piece,
    Place,
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
from wire.settings import WireSettings

T = TypeVar("T")
EXPIRED = Failed(code="expired", detail="The deadline passed before the answer was complete.")
CANCELLED = Failed(code="cancelled", detail="The ask was cancelled.")
DEAD = Failed(
    code="dead",
    detail="Every worker that took this ask up stopped before answering; it was given up.",
)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One script's name, its arguments, and how to read its reply."""

    script: str
    args: tuple[str | int | float, ...]
    read: Callable[[Any], T]


def submit(
    ask: Ask,
    *,
    tenant: str,
    room: Room,
    flight: str | None,
    settings: WireSettings,
    message: str = "",
) -> Call[Submitted]:
    """Let an ask in, join the same one in flight, or say why not.

    `message`: posted to the queue when it is let in; "" leaves that to the caller.
    """
    digests = [p.digest for turn in ask.turns for p in turn.parts if p.kind == "image"]

    def read(reply: list[str]) -> Submitted:
        kind, *rest = reply
        if kind == "accepted":
            return Accepted(rest[0], float(rest[1]) / 1000)
        if kind == "joined":
            return Joined(rest[0])
        if kind == "missing":
            return Missing(tuple(rest))
        reason: Any = rest[0]
        return Refused(reason, float(rest[1]) / 1000)

    args: tuple[str | int | float, ...] = (
        ask.ask_id,
        ask.model_dump_json(),
        tenant,
        _ms(ask.deadline),
        flight or "",
        *_limits(room),
        _ms(settings.picture_ttl_seconds),
        settings.picture_keys,
        album_of(ask.reuse, digests),
        settings.queue_name,
        message,
        *sorted(set(digests)),
    )
    return Call("submit", args, read)


def album_of(reuse: str, digests: Sequence[str]) -> str:
    """Names an ask's pictures in their order: what a worker that has read them need not read again.

    "" where there is nothing to be had from a worker that knows them.
    """
    if reuse == "none" or not digests:
        return ""
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:32]


def claim(
    worker_id: str, look: str, nonce: str, settings: WireSettings, *, leaving: bool
) -> Call[Claim | Later | None]:
    """Take the ask whose turn it is. `look` is the id the message carried, spent by a claim.

    `leaving`: asks may be left to idle workers that have read their pictures (`Later`).
    """

    def read(reply: list[Any]) -> Claim | Later | None:
        if not reply:
            return None
        if reply[0] == "later":
            _, ask_id, other, ms, first = reply
            return Later(ask_id, other, max(0.0, float(ms) / 1000), bool(first))
        ask_id, asked, attempt, deadline, queue_ms, alone, events = reply
        return Claim(
            ask_id=ask_id,
            asked=asked,
            attempt=int(attempt),
            deadline=int(deadline) / 1000,
            queue_ms=float(queue_ms),
            alone=alone == "1",
            streamed="".join(e.text for e in map(EVENT.validate_json, events) if e.kind == "token"),
        )

    wait = settings.prefill_wait_seconds
    args: tuple[str | int | float, ...] = (
        worker_id,
        look,
        nonce,
        _ms(settings.lease_seconds),
        _json(EXPIRED),
        _ms(wait) if leaving else 0,
        settings.prefill_overtakes if wait else 0,
    )
    return Call("claim", args, read)


def start(ask_id: str, attempt: int) -> Call[bool]:
    """Say that an ask claimed as `alone` now really runs; False: no longer ours."""
    return Call("start", (ask_id, attempt), bool)


def renew(held: Sequence[tuple[str, int]], lease_seconds: float) -> Call[tuple[Renewed, ...]]:
    """Extend the leases of `(ask_id, attempt)` pairs; one answer each, in order."""
    flat = tuple(x for pair in held for x in pair)
    return Call("renew", (_ms(lease_seconds), *flat), tuple)


def append(ask_id: str, attempt: int, piece: Piece) -> Call[Renewed | Told]:
    """Add a piece to the ask's events, unless it is told or this attempt lost the ask."""
    return Call("append", (ask_id, attempt, *_flat(piece)), _word)


def finish(
    ask_id: str, attempt: int, state: Ending, ending: Done | Failed, last: Piece | None = None
) -> Call[Finished | Told]:
    """End the ask and add the last piece and its one ending to the events, in one step."""
    told = _flat(last) if last else ("", "", "")
    return Call("finish", (ask_id, attempt, state, _json(ending), *told), _word)


def release(ask_id: str, attempt: int, *, blame: str | None) -> Call[Released]:
    """Give an unfinished ask back; `blame` is the error for which it may be responsible."""
    args = (ask_id, attempt, blame or "", _json(DEAD), _json(CANCELLED))
    return Call("release", args, _word)


def cancel(ask_id: str, *, everyone: bool) -> Call[Cancelled]:
    """One asker leaves, or the ask is cancelled for all who joined it."""
    return Call("cancel", (ask_id, int(everyone), _json(CANCELLED)), _word)


def reap(lease_seconds: float, look_delay_seconds: float, *, idle: bool, most: int) -> Call[Reaped]:
    """Find what died: asks out of time, leases not renewed, messages that vanished."""

    def read(reply: list[Any]) -> Reaped:
        resend, *numbers = reply
        expired, dead, leases, messages = map(int, numbers)
        return Reaped(tuple(resend), expired, dead, leases, messages)

    endings = (_json(EXPIRED), _json(DEAD), _json(CANCELLED))
    args = (_ms(lease_seconds), _ms(look_delay_seconds), int(idle), most, *endings)
    return Call("reap", args, read)


def retry(ask_id: str, deadline: float) -> Call[bool]:
    """Queue a dead ask again with a new deadline; False when it is not dead."""
    return Call("retry", (ask_id, _ms(deadline)), bool)


def counters() -> Call[Counters]:
    """All counters, read in one step."""

    def read(reply: list[Any]) -> Counters:
        pairs = dict(zip(reply[::2], reply[1::2], strict=True))
        oldest, service = int(pairs.pop("oldest_ms")), float(pairs.pop("service_ms"))
        return Counters(
            **{name: int(value) for name, value in pairs.items()},
            oldest_queued_seconds=oldest / 1000,
            service_seconds=service / 1000,
        )

    return Call("counters", (), read)


def answer_again(ask: Ask, *, tenant: str, done: Done) -> Call[bool]:
    """Write down an ask that was answered from store; False: this id was known already."""
    token, ending = Token(text=done.answer).model_dump_json(), _json(done)
    # Redis packs a hash tightly as long as no value of it has more than 64 bytes.
    told = f"again_{hashlib.sha256(ending.encode()).hexdigest()[:40]}"
    args = (ask.ask_id, tenant, _ms(ask.deadline), told, token, ending)
    return Call("answer_again", args, bool)


def look_up(
    ask_id: str, slots: int | None = None, service_seconds: float = 0
) -> Call[Record | None]:
    """Read one record; with the fleet's `slots`, a waiting ask's place in line too."""
    args = (ask_id, "" if slots is None else slots, _ms(service_seconds))
    return Call("look_up", args, lambda reply: _record(reply) if reply else None)


def look_for_room(tenant: str, patience_seconds: float, room: Room) -> Call[Refused | None]:
    """Whether an ask of this tenant with so much time would be refused now; lets nobody in."""

    def read(reply: list[Any]) -> Refused | None:
        return Refused(reply[0], float(reply[1]) / 1000) if reply else None

    return Call("room", (tenant, _ms(patience_seconds), *_limits(room)), read)


def _limits(room: Room) -> tuple[int, ...]:
    wait, service = _ms(room.max_wait_seconds), _ms(room.service_seconds)
    return (room.max_open, room.max_open_per_tenant, wait, room.slots, service)


def in_line(tenant: str, slots: int, service_seconds: float) -> Call[float | None]:
    """Seconds that an ask of this tenant would wait that came now; None: nobody can say."""
    return Call("in_line", (tenant, slots, _ms(service_seconds)), _wait)


def page(
    cursor: int | None, limit: int, state: State | None, tenant: str | None
) -> Call[tuple[tuple[Record, ...], int | None]]:
    """Read up to `limit` records, newest first, and the next cursor."""

    def read(reply: list[Any]) -> tuple[tuple[Record, ...], int | None]:
        following, rows = reply
        return tuple(map(_record, rows)), int(following) if following else None

    only = "" if tenant is None else f"={tenant}"
    return Call("page", ("" if cursor is None else cursor, limit, state or "", only), read)


def _record(flat: list[str]) -> Record:
    row: dict[str, Any] = dict(zip(flat[::2], flat[1::2], strict=True))
    return Record(
        ask_id=row["id"],
        state=row["state"],
        tenant=row["tenant"],
        attempt=int(row["attempt"]),
        deaths=int(row["deaths"]),
        accepted_at=int(row["accepted"]) / 1000,
        deadline=int(row["deadline"]) / 1000,
        claimed_at=int(row["claimed"]) / 1000 if row.get("claimed") else None,
        ended_at=int(row["ended"]) / 1000 if row.get("ended") else None,
        owner=row.get("owner"),
        cancel_asked=row.get("cancel") == "1",
        last_error=row.get("error"),
        answered_again="told" in row,
        place=Place(int(row["position"]), _wait(row["wait"])) if "position" in row else None,
    )


def _wait(ms: str) -> float | None:
    return None if float(ms) < 0 else float(ms) / 1000


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _json(event: Done | Failed) -> str:
    return event.model_dump_json()


def _flat(piece: Piece) -> tuple[int, int, str]:
    return piece.start, piece.end, Token(text=piece.text).model_dump_json()


def _word(reply: Any) -> Any:  # noqa: ANN401  the scripts answer with the words of records.py
    return Told(reply) if isinstance(reply, int) else reply
