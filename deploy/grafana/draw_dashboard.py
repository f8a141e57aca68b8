"""Writes dashboards/myopia.json from the table of panels below; the JSON is for Grafana alone.

    python deploy/grafana/draw_dashboard.py

The names of the metrics are the gateway's (service/metrics.py) and the rules' of
deploy/prometheus/rules.yml; a test holds them together. Knows nothing of how they are counted.
"""

import json
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).parent / "dashboards" / "myopia.json"
WIDTH, HEIGHT, COLUMNS = 8, 8, 24
RANGE = "$__rate_interval"
# Workers use some of the same names for what each of them does.
JOB = '{job="gateway"}'


def quantiles(metric: str) -> list[tuple[str, str]]:
    """Median and 99th percentile of a histogram."""
    rate = f"sum by (le) (rate({metric}_bucket{JOB}[{RANGE}]))"
    return [
        (f"histogram_quantile(0.5, {rate})", "median"),
        (f"histogram_quantile(0.99, {rate})", "99 %"),
    ]


def mean(metric: str) -> str:
    """Mean of a histogram: its buckets are too wide for quantiles of a budget."""
    return f"sum(rate({metric}_sum{JOB}[{RANGE}])) / sum(rate({metric}_count{JOB}[{RANGE}]))"


def per_second(metric: str) -> str:
    """Rate of a counter over all gateways."""
    return f"sum(rate({metric}{JOB}[{RANGE}]))"


KEPT = per_second("myopia_kv_tokens_kept_total")
PRUNED = per_second("myopia_kv_tokens_pruned_total")

# title, unit, [(expression, legend)]
PANELS: list[tuple[str, str, list[tuple[str, str]]]] = [
    (
        "Wait in the queue",
        "s",
        [
            *quantiles("myopia_request_queue_time_seconds"),
            (f"max(myopia_queue_oldest_age_seconds{JOB})", "oldest waiting"),
            ("myopia:predicted_wait_seconds", "predicted"),
        ],
    ),
    ("Time to first token", "s", quantiles("myopia_time_to_first_token_seconds")),
    ("Time to the whole answer", "s", quantiles("myopia_e2e_request_latency_seconds")),
    (
        "Tokens per second",
        "short",
        [
            (per_second("myopia_prompt_tokens_total"), "read"),
            (per_second("myopia_generation_tokens_total"), "written"),
        ],
    ),
    ("Budget met", "percentunit", [(mean("myopia_kv_budget_ratio"), "mean")]),
    (
        "Image tokens",
        "short",
        [(KEPT, "kept per s"), (PRUNED, "pruned per s")],
    ),
    ("Share of image tokens kept", "percentunit", [(f"{KEPT} / ({KEPT} + {PRUNED})", "kept")]),
    (
        "Result cache",
        "reqps",
        [(f"sum by (result) (rate(myopia_result_cache_total{JOB}[{RANGE}]))", "{{result}}")],
    ),
    (
        "Prefills reused",
        "reqps",
        [(f"sum by (reuse) (rate(myopia_prefill_reuse_total{JOB}[{RANGE}]))", "{{reuse}}")],
    ),
    (
        "Endings",
        "reqps",
        [
            (
                f"sum by (finished_reason) (rate(myopia_request_success_total{JOB}[{RANGE}]))",
                "answered: {{finished_reason}}",
            ),
            (
                f"sum by (code) (rate(myopia_request_failure_total{JOB}[{RANGE}]))",
                "failed: {{code}}",
            ),
        ],
    ),
    (
        "Balance of the ledger (must be 0)",
        "short",
        [(f"max(myopia_ledger_imbalance{JOB})", "asks in no state")],
    ),
    ("Asks by state", "short", [(f"max by (state) (myopia_jobs{JOB})", "{{state}}")]),
    (
        "Workers",
        "short",
        [
            (f"max(myopia_workers{JOB})", "workers"),
            ("myopia:workers_wanted", "wanted"),
            (f"max(myopia_worker_slots{JOB})", "slots"),
            (f"max(myopia_num_requests_running{JOB})", "running"),
            (f"max(myopia_num_requests_waiting{JOB})", "waiting"),
        ],
    ),
]


def panel(number: int) -> dict[str, Any]:
    """One panel at its place in the grid."""
    title, unit, queries = PANELS[number]
    per_row = COLUMNS // WIDTH
    return {
        "id": number + 1,
        "title": title,
        "type": "timeseries",
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": {
            "x": number % per_row * WIDTH,
            "y": number // per_row * HEIGHT,
            "w": WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + i), "expr": expression, "legendFormat": legend}
            for i, (expression, legend) in enumerate(queries)
        ],
    }


def dashboard() -> dict[str, Any]:
    """The whole dashboard, in Grafana's classic JSON model."""
    return {
        "uid": "myopia",
        "title": "Myopia",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "5s",
        "time": {"from": "now-30m", "to": "now"},
        "panels": [panel(number) for number in range(len(PANELS))],
    }


if __name__ == "__main__":
    OUTPUT.write_text(json.dumps(dashboard(), indent=1) + "\n")
