"""What the ledger says: states of an ask, the record, a claim, and answers to each transition.

Plain frozen values. Moments are unix seconds of the Redis server's clock, never of a process.
"""

from dataclasses import dataclass
from typing import Literal

from wire.messages import Ask
from wire.reading import read_ask

State = Literal["queued", "running", "done", "failed", "cancelled", "expired", "dead"]
OPEN: tuple[State, ...] = ("queued", "running")
ENDED: tuple[State, ...] = ("done", "failed", "cancelled", "expired", "dead")
Ending = Literal["done", "failed", "cancelled", "expired"]
"""How a worker may end an ask; `dead` is the ledger's own verdict."""

RefusalReason = Literal["too_many_open", "too_many_of_tenant", "wait_too_long", "deadline_passed"]


@dataclass(frozen=True, slots=True)
class Room:
    """What `submit` may let in; checked on the server, atomically with the entry.

    `slots` and `service_seconds` come from `wire.workers.Fleet`; with no slots the predicted
    wait is unknown and only the counts are checked.
    """

    max_open: int = 10_000
    max_open_per_tenant: int = 10_000
    max_wait_seconds: float = 60
    slots: int = 0
    service_seconds: float = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """The ask is in the ledger; send its id to the queue."""

    ask_id: str
    predicted_wait_seconds: float


@dataclass(frozen=True, slots=True)
class Joined:
    """The same ask is in flight (or just done) as `ask_id`: read that one's events, send nothing.

    Should it end as anything but done while the joiner still has time, submit anew.
    """

    ask_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No room; after `retry_after_seconds` there should be, by the present rate."""

    reason: RefusalReason
    retry_after_seconds: float


@dataclass(frozen=True, slots=True)
class Missing:
    """Pictures named by the ask are not in the mailbox; put them and submit again."""

    digests: tuple[str, ...]


Submitted = Accepted | Joined | Refused | Missing


@dataclass(frozen=True, slots=True)
class Place:
    """Where in line a waiting ask stands: `position` 1 is the next whose turn it is.

    Exact for the asks that wait now. Two things may put others before it: a tenant that comes
    later and has had fewer turns, and pictures that a worker has read already, which pass it
    `prefill_overtakes` times at most. The wait is by the moving mean, None where no worker takes
    asks.
    """

    position: int
    expected_wait_seconds: float | None


@dataclass(frozen=True, slots=True)
class Record:
    """One ask as the ledger has it. `attempt` is the fencing token: claims so far.

    `answered_again`: it got a stored answer, and no worker. `place` is only read where it was
    asked for, and only a queued ask has one.
    """

    ask_id: str
    state: State
    tenant: str
    attempt: int
    deaths: int
    accepted_at: float
    deadline: float
    claimed_at: float | None
    ended_at: float | None
    owner: str | None
    cancel_asked: bool
    last_error: str | None
    answered_again: bool = False
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on an ask until the lease ends.

    `alone`: the last attempt of an ask that already took workers down; it must run with no
    neighbour, and `start` must be called first. `streamed`: text that earlier attempts sent.
    """

    ask_id: str
    asked: str
    attempt: int
    deadline: float
    queue_ms: float
    alone: bool
    streamed: str

    @property
    def ask(self) -> Ask:
        """What was asked; raises MessageRefused where this version cannot read it."""
        return read_ask(self.asked)


@dataclass(frozen=True, slots=True)
class Later:
    """No claim yet: what waits is left to an idle worker that has read its pictures.

    Call that worker if this is the `first` to be told, and claim again after `seconds`.
    """

    ask_id: str
    worker_id: str
    seconds: float
    first: bool


@dataclass(frozen=True, slots=True)
class Reaped:
    """What one reaping did; each id of `resend` must be sent to the queue again."""

    resend: tuple[str, ...]
    expired: int
    dead: int
    lost_leases: int
    lost_messages: int


@dataclass(frozen=True, slots=True)
class Counters:
    """Totals since the store was made; `imbalance` must be 0 at every moment."""

    accepted: int
    done: int
    failed: int
    cancelled: int
    expired: int
    dead: int
    queued: int
    running: int
    lost_leases: int
    lost_messages: int
    refused_finishes: int
    oldest_queued_seconds: float
    service_seconds: float

    @property
    def open(self) -> int:
        """Asks that have not ended."""
        return self.queued + self.running

    @property
    def imbalance(self) -> int:
        """Accepted asks that are in no state at all."""
        ended = self.done + self.failed + self.cancelled + self.expired + self.dead
        return self.accepted - ended - self.open


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of an attempt's stream, `start` characters after the first one that it sends."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """Characters that the attempt has sent once this piece is told."""
        return self.start + len(self.text)


@dataclass(frozen=True, slots=True)
class Told:
    """Nothing was done: the events have `characters` of the attempt's text, not what was thought.

    More, when a reply was lost after a script ran; fewer, when Redis lost its latest writes.
    Send again from there.
    """

    characters: int


Finished = Literal["ended", "already", "refused"]
"""`already`: a repeat of this very finish; `refused`: another attempt owns or ended the ask."""
Renewed = Literal["kept", "cancel", "lost"]
Released = Literal["queued", "cancelled", "dead", "refused"]
Cancelled = Literal["cancelled", "asked", "left", "ended", "missing"]
"""`asked`: running, ends within a step; `left`: others still wait for it; `ended`: too late."""
