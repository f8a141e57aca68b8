"""An engine without a model: deterministic, batched, and it misbehaves when the question says so.

The answer is made of the question's digest, so that a test can tell a right one. Words in the
question: `steps=N` (tokens to make), `abort` (the process dies), `hang` (a step that never
ends), `fatal` (a CUDA error), `oom` (memory ran out), `raise` (a step throws), `refuse`, `full`.
"""

import hashlib
import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

from myopia.errors import BadRequest, Expired, OutOfMemory
from myopia.params import Request
from myopia.report import Finished, Output, Timings, Usage


class OutOfMemoryError(RuntimeError):
    """Named as torch's, which this process does not load."""


def expected_answer(question: str) -> str:
    """What the fake engine answers: one word per step."""
    digest = hashlib.sha256(question.encode()).hexdigest()
    return " ".join(digest[i % 60 : i % 60 + 4] for i in range(_steps(question)))


def _steps(question: str) -> int:
    found = re.search(r"steps=(\d+)", question)
    return int(found.group(1)) if found else 2


def question_of(request: Request) -> str:
    last = request.turns[-1].parts[-1]
    assert isinstance(last, str)
    return last


@dataclass
class Row:
    request: Request
    question: str
    words: list[str]
    made: int = 0
    cancelled: bool = False
    added_at: float = field(default_factory=time.monotonic)
    first_at: float | None = None


class FakeEngine:
    """Every row makes one word per step; a step takes `step_seconds`, however many rows."""

    def __init__(self, step_seconds: float = 0.0, log: Path | None = None) -> None:
        self.step_seconds, self.log = step_seconds, log
        self.rows: dict[str, Row] = {}
        self.most_rows = 0

    @property
    def has_work(self) -> bool:
        return bool(self.rows)

    def add(self, request: Request) -> None:
        question = question_of(request)
        if "refuse" in question:
            raise BadRequest("the fake engine refuses this; leave the word out", field="/question")
        if "full" in question:
            raise OutOfMemory("the row would not fit", limit=1, actual=2)
        if self.log is not None:
            with self.log.open("a") as lines:
                lines.write(f"{request.ask_id}\n")
        words = expected_answer(question).split(" ")
        self.rows[request.ask_id] = Row(request, question, words)
        self.most_rows = max(self.most_rows, len(self.rows))

    def cancel(self, ask_id: str) -> None:
        if ask_id in self.rows:
            self.rows[ask_id].cancelled = True

    def step(self) -> list[Output]:
        for row in self.rows.values():
            self._misbehave(row)
        time.sleep(self.step_seconds)
        outputs = [self._advance(row) for row in self.rows.values()]
        for output in outputs:
            if output.ends:
                del self.rows[output.ask_id]
        return outputs

    def _misbehave(self, row: Row) -> None:
        words = row.question.split()
        if row.cancelled:
            return
        if "abort" in words:
            os.abort()
        if "hang" in words:
            time.sleep(3600)
        if "fatal" in words:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if "oom" in words:
            raise OutOfMemoryError("CUDA out of memory")
        if "raise" in words:
            raise ValueError("a step failed")

    def _advance(self, row: Row) -> Output:
        ask_id = row.request.ask_id
        answer = " ".join(row.words[: row.made])
        if row.cancelled:
            return Output(ask_id, finished=self._finished(row, "cancelled", answer))
        if row.request.deadline is not None and time.time() > row.request.deadline:
            return Output(ask_id, failed=Expired("The deadline passed."))
        text = (" " if row.made else "") + row.words[row.made]
        row.made += 1
        row.first_at = row.first_at or time.monotonic()
        if row.made < len(row.words):
            return Output(ask_id, text=text, tokens=(row.made,))
        return Output(
            ask_id,
            text=text,
            tokens=(row.made,),
            finished=self._finished(row, "stop", answer + text),
        )

    def _finished(self, row: Row, reason: str, answer: str) -> Finished:
        took = (time.monotonic() - row.added_at) * 1000
        first = ((row.first_at or time.monotonic()) - row.added_at) * 1000
        return Finished(
            reason=reason,  # type: ignore[arg-type]
            answer=answer,
            usage=Usage(completion_tokens=row.made, budget_effective=row.request.pruning.budget),
            timings=Timings(
                prefill_ms=first, first_token_ms=first, decode_ms=took - first, total_ms=took
            ),
        )
