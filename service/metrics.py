"""Prometheus metrics of one gateway, under the names that dashboards of engines know.

One registry per app, so that two apps in one process do not share counts. What the numbers are
fed with is decided by those who call; text is made only when `/metrics` is read.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from wire.messages import Done, Failed

SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1)


class Metrics:
    """What a gateway counts; `text` writes it in Prometheus' format."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.requests = Counter(
            "myopia_http_requests",
            "Requests by route, method and status.",
            ["route", "method", "status"],
            registry=r,
        )
        self.successes = Counter(
            "myopia_request_success", "Asks answered.", ["finished_reason"], registry=r
        )
        self.failures = Counter(
            "myopia_request_failure", "Asks not answered.", ["code"], registry=r
        )
        self.cache = Counter(
            "myopia_result_cache", "Asks by what the result cache said.", ["result"], registry=r
        )
        self.media_rejected = Counter(
            "myopia_media_rejected", "Pictures refused.", ["code"], registry=r
        )
        self.latency = Histogram(
            "myopia_e2e_request_latency_seconds",
            "From acceptance to the ending.",
            buckets=SECONDS,
            registry=r,
        )
        self.first_token = Histogram(
            "myopia_time_to_first_token_seconds",
            "From acceptance to the first text.",
            buckets=SECONDS,
            registry=r,
        )
        self.queue_time = Histogram(
            "myopia_request_queue_time_seconds",
            "Waiting for a worker.",
            buckets=SECONDS,
            registry=r,
        )
        self.prefill_time = Histogram(
            "myopia_request_prefill_time_seconds",
            "Prefill in the engine.",
            buckets=SECONDS,
            registry=r,
        )
        self.decode_time = Histogram(
            "myopia_request_decode_time_seconds",
            "Decoding in the engine.",
            buckets=SECONDS,
            registry=r,
        )
        self.prefill_reuse = Counter(
            "myopia_prefill_reuse", "Asks by what was reused of a prefill.", ["reuse"], registry=r
        )
        self.prompt_tokens = Counter("myopia_prompt_tokens", "Tokens read.", registry=r)
        self.generated = Counter("myopia_generation_tokens", "Tokens written.", registry=r)
        self.kept = Counter("myopia_kv_tokens_kept", "Image tokens kept.", registry=r)
        self.pruned = Counter("myopia_kv_tokens_pruned", "Image tokens pruned.", registry=r)
        self.budget = Histogram(
            "myopia_kv_budget_ratio", "Budgets that were met.", buckets=SHARES, registry=r
        )
        self.inflight = Gauge("myopia_gateway_asks_inflight", "Asks waited for.", registry=r)
        self.asks = Gauge("myopia_jobs", "Asks in the ledger by state.", ["state"], registry=r)
        self.running = Gauge("myopia_num_requests_running", "Asks that workers run.", registry=r)
        self.waiting = Gauge("myopia_num_requests_waiting", "Asks in the queue.", registry=r)
        self.oldest = Gauge(
            "myopia_queue_oldest_age_seconds", "Age of the oldest waiting ask.", registry=r
        )
        self.imbalance = Gauge(
            "myopia_ledger_imbalance", "Accepted asks in no state; must be 0.", registry=r
        )
        self.store_up = Gauge("myopia_store_up", "Whether the store answers.", registry=r)
        self.workers = Gauge("myopia_workers", "Workers that take asks.", registry=r)
        self.slots = Gauge("myopia_worker_slots", "Asks they work on at once.", registry=r)

    def observe(self, ending: Done | Failed) -> None:
        """Count one ending and what the engine measured."""
        if isinstance(ending, Failed):
            self.failures.labels(ending.code).inc()
            return
        usage, timings = ending.usage, ending.timings
        self.successes.labels(ending.finish_reason).inc()
        self.prefill_reuse.labels(ending.cache.prefill).inc()
        self.prompt_tokens.inc(usage.prompt_tokens)
        self.generated.inc(usage.completion_tokens)
        self.kept.inc(usage.kept_tokens)
        self.pruned.inc(max(0.0, usage.image_tokens - usage.kept_tokens))
        self.budget.observe(usage.budget_effective)
        self.queue_time.observe(timings.queue_ms / 1000)
        self.prefill_time.observe(timings.prefill_ms / 1000)
        self.decode_time.observe(timings.decode_ms / 1000)
        self.first_token.observe(timings.first_token_ms / 1000)
        self.latency.observe(timings.total_ms / 1000)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self.registry)
