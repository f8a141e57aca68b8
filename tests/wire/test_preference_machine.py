"""Random histories with preferences: albums, workers that come and go, asks left and stolen.

The same promises as without (`test_ledger_machine`), and the count of what each worker has.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from tests.redis_server import RedisServer
from tests.wire.asks import make_ask
from tests.wire.test_ledger_machine import QUICK, LedgerHistory
from tests.wire.test_preference import beat
from wire.messages import ImagePart, TextPart, Turn
from wire.records import Later
from wire.settings import WireSettings
from wire.workers import Heartbeat

WORKERS = ("w1", "w2", "w3")
ALBUMS = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(6)]


class PreferringHistory(LedgerHistory):
    def __init__(self) -> None:
        super().__init__()
        for digest in ALBUMS:
            self.store.raw.set(f"{self.ns}:picture:{digest}", b"x")

    @rule(target=LedgerHistory.asks, tenant=st.sampled_from("ab"), album=st.sampled_from(ALBUMS))
    def submit_about(self, tenant: str, album: str) -> str:
        parts = (ImagePart(digest=album, index=0), TextPart(text="?"))
        ask = make_ask(turns=(Turn(role="user", parts=parts),))
        self.ledger.submit(ask, tenant=tenant)
        self.accepted.add(ask.ask_id)
        self.messages.append(ask.ask_id)
        return ask.ask_id

    @rule(worker=st.sampled_from(WORKERS), capacity=st.integers(1, 2), draining=st.booleans())
    def beat(self, worker: str, capacity: int, draining: bool) -> None:
        beat(self.store, worker, capacity=capacity, draining=draining)

    @rule(worker=st.sampled_from(WORKERS), how=st.sampled_from(["leaves", "dies"]))
    def go(self, worker: str, how: str) -> None:
        if how == "leaves":
            Heartbeat(self.store).leave(worker)
        else:
            self.store.text.zadd(f"{self.ns}:workers", {worker: 1}, xx=True)

    @rule(target=LedgerHistory.claims, worker=st.sampled_from(WORKERS), called=st.booleans())
    def claim_or_leave(self, worker: str, called: bool) -> tuple[str, int] | None:
        look = self.messages.pop(0) if self.messages else "twice"
        claim = self.ledger.claim_or_leave(worker, look)
        if isinstance(claim, Later):
            assert claim.worker_id != worker
            assert claim.seconds <= 0.05
            assert self.state(claim.ask_id) == "queued"
            self.messages.append(look)  # whoever was told so comes again
            if called:
                self.messages.insert(0, claim.ask_id)
            return None
        if claim is None:
            return None
        if claim.alone:
            assert self.ledger.start(claim.ask_id, claim.attempt)
        return claim.ask_id, claim.attempt

    @invariant()
    def what_each_has_is_counted(self) -> None:
        running = self.store.text.zrange(f"{self.ns}:running", 0, -1)
        owners = Counter(self.ledger.get(ask_id).owner for ask_id in running)  # type: ignore[union-attr]
        counted = self.store.text.hgetall(f"{self.ns}:busy")
        assert {name: int(number) for name, number in counted.items()} == owners


@pytest.fixture
def machine(wire_settings: WireSettings, redis_server: RedisServer) -> Iterator[type]:
    PreferringHistory.wire = wire_settings
    yield PreferringHistory
    redis_server.wipe()


def test_any_history_with_preferences_balances(machine: type[PreferringHistory]) -> None:
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.slow
def test_many_long_histories_with_preferences_balance(machine: type[PreferringHistory]) -> None:
    long = settings(QUICK, max_examples=100, stateful_step_count=60)
    run_state_machine_as_test(machine, settings=long)
