"""The worker's part of an ask's trace: queue, work, vision, prefill and decode, under the asker's.

The engine knows nothing of traces: its spans are drawn afterwards from the times it measured.
Without OpenTelemetry, or switched off, nothing is drawn.
"""

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog

from myopia.report import Finished
from wire.messages import Done, Failed
from wire.records import Claim
from wire.tracing import trace_id

try:
    from opentelemetry import propagate, trace
except ImportError:  # an option: the extra `tracing`
    trace = None  # type: ignore[assignment]


@dataclass(slots=True)
class Work:
    """What one attempt tells its trace; every method may be called without one."""

    tracer: Any = None
    span: Any = None

    def engine(self, finished: Finished) -> None:
        """Draw what the engine did, counted back from now."""
        if self.span is None:
            return
        timings = finished.timings
        ended = time.time_ns()
        added = ended - _ns(timings.total_ms)
        first = min(ended, added + _ns(timings.first_token_ms))
        prefilling = first - _ns(timings.prefill_ms)
        seeing = prefilling - _ns(timings.vision_ms)
        context = trace.set_span_in_context(self.span)
        spans: tuple[tuple[str, int, int, dict[str, int | float]], ...] = (
            ("engine queue", added, added + _ns(timings.queue_ms), {}),
            ("vision", seeing, prefilling, {"cached": finished.cache.features}),
            (
                "prefill",
                prefilling,
                first,
                {"prompt_tokens": finished.usage.prompt_tokens, "prune_ms": timings.prune_ms},
            ),
            ("decode", first, ended, {"tokens": finished.usage.completion_tokens}),
        )
        for name, began, end, attributes in spans:
            if end > began:
                span = self.tracer.start_span(name, context, start_time=began)
                span.set_attributes(attributes)
                span.end(end)

    def ended(self, ending: Done | Failed) -> None:
        """Note how the ask ended."""
        if self.span is None:
            return
        if isinstance(ending, Failed):
            self.span.set_attribute("error.type", ending.code)
            self.span.set_status(trace.Status(trace.StatusCode.ERROR))
        else:
            self.span.set_attribute("finish_reason", ending.finish_reason)

    def given_back(self, cause: str | None) -> None:
        """Note that this attempt did not end the ask."""
        if self.span is not None:
            self.span.set_attribute("given_back", cause or "drained")


def traceparent_of(claim: Claim) -> str | None:
    """The asker's span, also of a message that this version cannot read."""
    try:
        asked = json.loads(claim.asked)
    except ValueError:
        return None
    header = asked.get("traceparent") if isinstance(asked, dict) else None
    return header if isinstance(header, str) and trace_id(header) else None


@contextmanager
def worked(claim: Claim, worker_id: str) -> Generator[Work]:
    """A span round one attempt, beside one of its waiting; both under the asker's own.

    Lines that are logged inside carry the ids of the ask and of its trace.
    """
    traceparent = traceparent_of(claim)
    ids = {"ask_id": claim.ask_id, "trace_id": trace_id(traceparent)}
    known = {name: value for name, value in ids.items() if value}
    with (
        structlog.contextvars.bound_contextvars(**known),
        _span(claim, traceparent, worker_id) as work,
    ):
        yield work


@contextmanager
def _span(claim: Claim, traceparent: str | None, worker_id: str) -> Generator[Work]:
    if trace is None or traceparent is None:
        yield Work()
        return
    tracer = trace.get_tracer("myopia.worker")
    context = propagate.extract({"traceparent": traceparent})
    now = time.time_ns()
    waiting = tracer.start_span("queue", context, start_time=now - _ns(claim.queue_ms))
    if not waiting.is_recording():  # switched off, or the asker's trace is not sampled
        yield Work()
        return
    waiting.end(now)
    with tracer.start_as_current_span(
        "work", context, kind=trace.SpanKind.CONSUMER, start_time=now
    ) as span:
        span.set_attributes(
            {"ask_id": claim.ask_id, "attempt": claim.attempt, "worker_id": worker_id}
        )
        yield Work(tracer, span)


def _ns(milliseconds: float) -> int:
    return round(milliseconds * 1_000_000)
