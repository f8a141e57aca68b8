"""Random histories of the ledger against a model: whatever happens, the counters balance.

Two workers, three tenants, leases that end, zombies, cancels, lost and repeated messages. After
each rule: every accepted ask is in exactly one state and has at most one ending.
"""

import itertools
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.redis_server import RedisServer
from tests.wire.asks import make_ask, make_done
from wire import calls
from wire.ledger import Ledger
from wire.messages import EVENT
from wire.records import Piece, Told
from wire.settings import WireSettings
from wire.store import Store

ENDED = {"done", "failed", "cancelled", "expired", "dead"}
_namespaces = itertools.count()


class LedgerHistory(RuleBasedStateMachine):
    wire: WireSettings
    asks = Bundle("asks")
    claims = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        settings = self.wire.model_copy(update={"namespace": f"m{next(_namespaces)}"})
        self.store = Store(settings)
        self.ledger = Ledger(self.store)
        self.ns = settings.namespace
        self.accepted: set[str] = set()
        self.ended: dict[str, str] = {}
        self.winner: dict[str, int] = {}
        self.messages: list[str] = []
        self.sent: dict[tuple[str, int], str] = {}
        self.ledger.reap(idle=False)

    def teardown(self) -> None:
        """Nothing stuck: with leases over and a worker that works, every ask ends."""
        for _ in range(20):
            self.end_leases()
            self.messages.extend(self.ledger.reap(idle=True).resend)
            self.store.text.zunionstore(f"{self.ns}:looks", {f"{self.ns}:looks": 0})
            while self.messages:
                claim = self.ledger.claim("w9", self.messages.pop())
                if claim is not None:
                    if claim.alone:
                        self.ledger.start(claim.ask_id, claim.attempt)
                    self.ledger.finish(claim.ask_id, claim.attempt, "done", make_done())
            if self.ledger.counters().open == 0:
                break
        totals = self.ledger.counters()
        assert totals.open == 0
        assert totals.imbalance == 0
        assert self.store.text.hgetall(f"{self.ns}:tenants") == {}
        assert self.store.text.zcard(f"{self.ns}:turns") == 0
        for ask_id in self.accepted:
            assert len(self.endings(ask_id)) == 1
        self.store.close()

    def endings(self, ask_id: str) -> list[str]:
        rows = self.store.text.xrange(f"{self.ns}:events:{ask_id}")
        kinds = [EVENT.validate_json(fields["e"]).kind for _, fields in rows]
        assert "token" not in kinds[-1:] or not ENDED & {self.state(ask_id)}
        return [kind for kind in kinds if kind != "token"]

    def text_of(self, ask_id: str) -> str:
        rows = self.store.text.xrange(f"{self.ns}:events:{ask_id}")
        events = [EVENT.validate_json(fields["e"]) for _, fields in rows]
        return "".join(event.text for event in events if event.kind == "token")

    def state(self, ask_id: str) -> str:
        record = self.ledger.get(ask_id)
        assert record is not None, "an accepted ask is gone"
        return record.state

    def end_leases(self) -> None:
        for ask_id in self.store.text.zrange(f"{self.ns}:running", 0, -1):
            self.store.text.zadd(f"{self.ns}:running", {ask_id: 1})

    @rule(target=asks, tenant=st.sampled_from("abc"), message=st.sampled_from([0, 1, 1, 2]))
    def submit(self, tenant: str, message: int) -> str:
        ask = make_ask()
        self.ledger.submit(ask, tenant=tenant)
        self.accepted.add(ask.ask_id)
        self.messages += [ask.ask_id] * message
        return ask.ask_id

    @rule(target=claims, worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker: str) -> tuple[str, int] | None:
        claim = self.ledger.claim(worker, self.messages.pop(0) if self.messages else "twice")
        if claim is None:
            return None
        assert self.state(claim.ask_id) == "running"
        if claim.alone:
            assert self.ledger.start(claim.ask_id, claim.attempt)
        return claim.ask_id, claim.attempt

    @rule(held=claims, text=st.text("xyé", min_size=1, max_size=3), off=st.integers(-2, 2))
    def append(self, held: tuple[str, int] | None, text: str, off: int) -> None:
        """A piece from where the attempt's text ends, or (`off`) from anywhere else."""
        if held is None:
            return
        sent = self.sent.get(held, "")
        word = self.ledger.append(*held, Piece(text, max(0, len(sent) + off)))
        if isinstance(word, Told):
            assert word.characters == len(sent) != max(0, len(sent) + off)
        elif word != "lost":
            assert max(0, len(sent) + off) == len(sent)
            self.sent[held] = sent + text

    @rule(held=claims, state=st.sampled_from(["done", "failed", "cancelled", "expired"]))
    def finish(self, held: tuple[str, int] | None, state: str) -> None:
        if held is None:
            return
        ask_id, attempt = held
        ending = make_done() if state == "done" else calls.CANCELLED
        word = self.ledger.finish(ask_id, attempt, state, ending)  # type: ignore[arg-type]
        if word == "ended":
            assert ask_id not in self.winner, "finished twice"
            self.winner[ask_id] = attempt
        elif word == "already":
            assert self.winner[ask_id] == attempt

    @rule(held=consumes(claims), blame=st.sampled_from([None, "it broke"]))
    def release(self, held: tuple[str, int] | None, blame: str | None) -> None:
        if held is not None and self.ledger.release(*held, blame=blame) == "queued":
            self.messages.append(held[0])

    @rule(ask_id=asks, everyone=st.booleans())
    def cancel(self, ask_id: str, everyone: bool) -> None:
        self.store.run(calls.cancel(ask_id, everyone=everyone))

    @rule(idle=st.booleans())
    def die_and_reap(self, idle: bool) -> None:
        self.end_leases()
        self.messages.extend(self.ledger.reap(idle=idle).resend)
        looks = self.store.text.zcard(f"{self.ns}:looks")
        assert isinstance(looks, int)
        assert looks >= self.ledger.counters().queued

    @rule()
    def lose_a_message(self) -> None:
        del self.messages[:1]

    @rule(ask_id=asks)
    def revive(self, ask_id: str) -> None:
        if self.store.run(calls.retry(ask_id, time.time() + 60)):
            self.ended.pop(ask_id)
            self.winner.pop(ask_id, None)
            self.sent = {held: text for held, text in self.sent.items() if held[0] != ask_id}
            self.messages.append(ask_id)

    @invariant()
    def balanced(self) -> None:
        totals = self.ledger.counters()
        assert totals.imbalance == 0
        assert totals.accepted == len(self.accepted)

    @invariant()
    def told_once(self) -> None:
        for ask_id in self.accepted:
            sent = [text for held, text in sorted(self.sent.items()) if held[0] == ask_id]
            assert self.text_of(ask_id) == "".join(sent)

    @invariant()
    def ended_once_and_for_all(self) -> None:
        for ask_id in self.accepted:
            state = self.state(ask_id)
            endings = self.endings(ask_id)
            assert len(endings) == (1 if state in ENDED else 0)
            assert self.ended.setdefault(ask_id, state) == state if state in ENDED else True


@pytest.fixture
def machine(wire_settings: WireSettings, redis_server: RedisServer) -> Iterator[type]:
    LedgerHistory.wire = wire_settings
    yield LedgerHistory
    redis_server.wipe()


QUICK = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def test_any_history_balances(machine: type[LedgerHistory]) -> None:
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.slow
def test_many_long_histories_balance(machine: type[LedgerHistory]) -> None:
    long = settings(QUICK, max_examples=100, stateful_step_count=60)
    run_state_machine_as_test(machine, settings=long)
