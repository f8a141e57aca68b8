"""The books: every ask that was or may have been accepted, and what must be true of it in the end.

Filled by whoever asks, closed against the store: one ending each, the right answer, balance.
"""

import time
from dataclasses import asdict, dataclass, field

from tests.worker.fake_engine import expected_answer
from wire import calls
from wire.ledger import Ledger
from wire.messages import EVENT, Done
from wire.queue import Queue
from wire.settings import WireSettings
from wire.store import Store


@dataclass
class Line:
    """One ask in the books; `sure` is False where the reply to `submit` was lost."""

    ask_id: str
    question: str
    asked_at: float
    sure: bool = True
    took_seconds: float | None = None


@dataclass
class Verdict:
    accepted: int = 0
    answered: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    seams: int = 0
    revived: int = 0
    dead: int = 0
    other_endings: int = 0
    open: int = 0
    refused: int = 0
    unsure: int = 0
    retaken: int = 0
    lost_leases: int = 0
    lost_messages: int = 0
    refused_finishes: int = 0
    imbalance: int = 0

    @property
    def is_clean(self) -> bool:
        """Nothing lost or doubled, nobody left dead, and hardly anyone had to be revived."""
        faults = self.lost, self.twice, self.wrong, self.seams, self.open, self.imbalance, self.dead
        # 1 of 22,009 where a worker was killed every 2.5 s, none in any other scene
        return not any(faults) and self.revived <= max(1, self.accepted / 1000)


@dataclass
class Books:
    lines: dict[str, Line] = field(default_factory=dict)
    refused: int = 0
    last_errors: list[str] = field(default_factory=list)

    def took(self, *, since: float = 0, until: float = float("inf")) -> list[float]:
        """Seconds of the asks that were asked in a span and have ended, sorted."""
        times = [
            line.took_seconds
            for line in self.lines.values()
            if line.took_seconds is not None and since <= line.asked_at < until
        ]
        return sorted(times)

    def close(self, settings: WireSettings, patience_seconds: float = 60) -> Verdict:
        """Wait until nothing is open, revive the dead as an operator would, look at every line."""
        store = Store(settings)
        ledger = Ledger(store)
        _settle(ledger, patience_seconds)
        verdict = Verdict(refused=self.refused)
        verdict.revived = self._revive(settings, store, patience_seconds)
        for line in self.lines.values():
            self._check(line, store, ledger, verdict)
        totals = ledger.counters()
        verdict.open, verdict.imbalance = totals.open, totals.imbalance
        verdict.lost_leases = totals.lost_leases
        verdict.lost_messages = totals.lost_messages
        verdict.refused_finishes = totals.refused_finishes
        store.close()
        return verdict

    def _revive(self, settings: WireSettings, store: Store, patience_seconds: float) -> int:
        """Ask the dead again, and wait for them; how many there were."""
        ledger, queue, revived = Ledger(store), Queue(settings), 0
        for line in self.lines.values():
            record = ledger.get(line.ask_id)
            if record is None or record.state != "dead":
                continue
            self.last_errors.append(f"dead, then revived: {record.last_error}")
            if store.run(calls.retry(line.ask_id, time.time() + patience_seconds)):
                queue.send(line.ask_id)
                revived += 1
        queue.close()
        _settle(ledger, patience_seconds)
        return revived

    def _check(self, line: Line, store: Store, ledger: Ledger, verdict: Verdict) -> None:
        record = ledger.get(line.ask_id)
        if record is None:
            if line.sure:
                verdict.lost += 1
            return
        verdict.accepted += 1
        verdict.unsure += not line.sure
        verdict.retaken += record.attempt > 1
        rows = store.text.xrange(f"{store.settings.namespace}:events:{line.ask_id}")
        events = [EVENT.validate_json(fields["e"]) for _, fields in rows]
        endings = [event for event in events if event.kind != "token"]
        verdict.lost += not endings
        verdict.twice += len(endings) > 1
        if record.state == "dead":
            verdict.dead += 1
        elif record.state != "done":
            verdict.other_endings += 1
        for ending in endings[:1]:
            if isinstance(ending, Done) and record.state == "done":
                verdict.answered += 1
                verdict.wrong += ending.answer != expected_answer(line.question)
                text = "".join(event.text for event in events if event.kind == "token")
                verdict.seams += text != ending.answer


def _settle(ledger: Ledger, patience_seconds: float) -> None:
    until = time.monotonic() + patience_seconds
    while ledger.counters().open and time.monotonic() < until:
        time.sleep(0.2)


def percentile(sorted_values: list[float], share: float) -> float:
    """The value below which `share` of the values lie; 0 without any."""
    if not sorted_values:
        return 0.0
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def figures(verdict: Verdict) -> dict[str, float]:
    return {name: value for name, value in asdict(verdict).items() if value or name in SHOWN}


SHOWN = {"accepted", "answered", "lost", "twice"}
