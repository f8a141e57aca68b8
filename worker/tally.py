"""Numbers of one worker process for Prometheus; names as existing dashboards know them.

Counts and durations only: never a text, a picture or a tenant.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from wire.messages import Done, Failed
from wire.records import Reaped

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100)
RATIOS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1)


class Tally:
    """Metrics in a registry of their own, so that tests and processes do not share them."""

    def __init__(self) -> None:
        self.registry = here = CollectorRegistry()
        self._ends = Counter(
            "myopia_request_success_total", "Asks ended here", ["finished_reason"], registry=here
        )
        self._fails = Counter(
            "myopia_request_failure_total", "Asks failed here", ["code"], registry=here
        )
        self._refused = Counter(
            "myopia_finish_refused_total", "Late finishes refused", registry=here
        )
        self._back = Counter(
            "myopia_given_back_total", "Asks given back", ["became"], registry=here
        )
        self._prompt = Counter("myopia_prompt_tokens_total", "Prompt tokens", registry=here)
        self._made = Counter("myopia_generation_tokens_total", "Tokens made", registry=here)
        self._kept = Counter("myopia_kv_tokens_kept_total", "Image tokens kept", registry=here)
        self._pruned = Counter("myopia_kv_tokens_pruned_total", "Pruned tokens", registry=here)
        self._budget = Histogram(
            "myopia_kv_budget_ratio", "Budget in effect", buckets=RATIOS, registry=here
        )
        self._spans = {
            "queue_ms": _seconds("request_queue_time", here),
            "first_token_ms": _seconds("time_to_first_token", here),
            "prefill_ms": _seconds("request_prefill_time", here),
            "decode_ms": _seconds("request_decode_time", here),
            "total_ms": _seconds("e2e_request_latency", here),
        }
        self._recovered = Counter(
            "myopia_jobs_recovered_total",
            "Asks and messages saved by the reaper",
            ["reason"],
            registry=here,
        )
        self._shadows = Counter(
            "myopia_shadow_total",
            "Asks asked again with the whole cache",
            ["outcome"],
            registry=here,
        )
        self._agreement = Gauge(
            "myopia_shadow_agreement_ratio", "Of them, equal to what was answered", registry=here
        )
        self._agreement.set(float("nan"))  # nothing was compared yet
        self._agreed = self._compared = 0
        self.running = Gauge("myopia_num_requests_running", "Asks in the engine", registry=here)
        self.tick_age = Gauge("myopia_engine_tick_age_seconds", "Since it turned", registry=here)

    def ended(self, word: str | None, ending: Done | Failed) -> None:
        """Count one ending that was brought to the ledger, by the ledger's word on it."""
        if word == "refused":
            self._refused.inc()
            return
        if isinstance(ending, Failed):
            self._fails.labels(ending.code).inc()
            return
        usage = ending.usage
        self._ends.labels(ending.finish_reason).inc()
        self._prompt.inc(usage.prompt_tokens)
        self._made.inc(usage.completion_tokens)
        self._kept.inc(usage.kept_tokens)
        self._pruned.inc(max(0.0, usage.image_tokens - usage.kept_tokens))
        self._budget.observe(usage.budget_effective)
        for name, histogram in self._spans.items():
            histogram.observe(getattr(ending.timings, name) / 1000)

    def given_back(self, became: str | None) -> None:
        """Count one ask that went back to the queue."""
        self._back.labels(became or "unknown").inc()

    def shadowed(self, agreed: bool | None) -> None:
        """Count one shadow ask; None: given up so that a live one need not wait."""
        word = "given_up" if agreed is None else "agreed" if agreed else "differed"
        self._shadows.labels(word).inc()
        if agreed is not None:
            self._compared += 1
            self._agreed += agreed
            self._agreement.set(self._agreed / self._compared)

    def reaped(self, reaped: Reaped) -> None:
        """Count what one reaping saved."""
        self._recovered.labels("expired_lease").inc(reaped.lost_leases)
        self._recovered.labels("lost_message").inc(reaped.lost_messages)


def _seconds(name: str, here: CollectorRegistry) -> Histogram:
    words = name.replace("_", " ").capitalize()
    return Histogram(f"myopia_{name}_seconds", words, buckets=SECONDS, registry=here)
