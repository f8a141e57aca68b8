"""Rules and dashboard speak of metrics that exist, and say what they promise to say."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.metrics import Metrics
from tests.deploy.manifests import of_kind

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboards" / "myopia.json"
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]


def written() -> Iterator[str]:
    for group in GROUPS:
        for rule in group["rules"]:
            yield rule["expr"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def known_metrics() -> set[str]:
    """Sample names that a gateway exports, and names that the rules record."""
    names = {rule["record"] for group in GROUPS for rule in group["rules"] if "record" in rule}
    for family in Metrics().registry.collect():
        if family.type == "counter":
            names.add(f"{family.name}_total")
        elif family.type == "histogram":
            names.update(f"{family.name}_{part}" for part in ("bucket", "sum", "count"))
        else:
            names.add(family.name)
    return names


@pytest.mark.parametrize("expression", list(written()))
def test_metrics_exist(expression: str) -> None:
    used = set(re.findall(r"\bmyopia[:_]\w+", expression))
    assert used
    assert used <= known_metrics()


@pytest.mark.parametrize("expression", list(written()))
def test_only_gateways_are_asked(expression: str) -> None:
    """Workers count under some of the same names: without a job, sums would count twice."""
    assert not re.findall(r"\bmyopia_\w+(?!\w|\{job=\"gateway\")", expression)


def test_the_jobs_have_these_names_everywhere() -> None:
    config = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"] for job in config["scrape_configs"]}
    # the operator names a job after its Service
    picked = {m["metadata"]["name"] for m in of_kind("gpu", "ServiceMonitor")}
    assert jobs == picked == {"gateway", "worker"}


def test_the_dashboard_shows_what_was_promised() -> None:
    text = DASHBOARD.read_text()
    for metric in (
        "myopia_request_queue_time_seconds_bucket",
        "myopia_generation_tokens_total",
        "myopia_kv_budget_ratio_bucket",
        "myopia_kv_tokens_kept_total",
        "myopia_result_cache_total",
        "myopia_ledger_imbalance",
    ):
        assert metric in text


def test_the_dashboard_is_what_its_table_draws() -> None:
    sys.path.insert(0, str(ROOT / "deploy" / "grafana"))
    try:
        import draw_dashboard  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    assert json.loads(DASHBOARD.read_text()) == draw_dashboard.dashboard()


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken
                assert x < 24
                taken.add((x, y))


def test_kubernetes_has_the_same_rules() -> None:
    (rule,) = of_kind("gpu", "PrometheusRule")
    assert rule["spec"]["groups"] == GROUPS


def test_grafana_finds_its_source() -> None:
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())
    (source,) = sources["datasources"]
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        assert panel["datasource"]["uid"] == source["uid"]


CASES = """
rule_files: [rules.yml]
evaluation_interval: 15s
tests:
  # 4 workers of 8 slots; 16 asks run; 40 wait; an ask takes 2 s (1 of prefill, 1 of decoding).
  # At work: 16 / 8 / 0.8 = 2.5. To clear the queue in 10 s: 40 x 2 / 8 / 10 = 1. Together 3.5.
  - interval: 15s
    input_series: &series
      - {series: 'myopia_workers{job="gateway",instance="a"}', values: '4x40'}
      - {series: 'myopia_workers{job="gateway",instance="b"}', values: '4x40'}
      - {series: 'myopia_worker_slots{job="gateway",instance="a"}', values: '32x40'}
      - {series: 'myopia_worker_slots{job="gateway",instance="b"}', values: '32x40'}
      - {series: 'myopia_num_requests_running{job="gateway",instance="a"}', values: '16x40'}
      - {series: 'myopia_num_requests_running{job="gateway",instance="b"}', values: '16x40'}
      - {series: 'myopia_num_requests_waiting{job="gateway",instance="a"}', values: '40x40'}
      - {series: 'myopia_num_requests_waiting{job="gateway",instance="b"}', values: '40x40'}
      - {series: 'myopia_request_prefill_time_seconds_sum{job="gateway",instance="a"}', values: '0+15x40'}
      - {series: 'myopia_request_decode_time_seconds_sum{job="gateway",instance="a"}', values: '0+15x40'}
      - {series: 'myopia_request_decode_time_seconds_count{job="gateway",instance="a"}', values: '0+15x40'}
      # a worker's own count under the same name changes nothing
      - {series: 'myopia_num_requests_running{job="worker",instance="c"}', values: '90x40'}
      - {series: 'myopia_ledger_imbalance{job="gateway",instance="a"}', values: '0x20 1x20'}
    promql_expr_test:
      - {expr: 'myopia:service_seconds', eval_time: 5m, exp_samples: [
          {labels: 'myopia:service_seconds', value: 2}]}
      - {expr: 'myopia:predicted_wait_seconds', eval_time: 5m, exp_samples: [
          {labels: 'myopia:predicted_wait_seconds', value: 2.5}]}
      - {expr: 'myopia:workers_wanted', eval_time: 5m, exp_samples: [
          {labels: 'myopia:workers_wanted', value: 3.5}]}
    alert_rule_test:
      - {eval_time: 5m, alertname: MyopiaLedgerOutOfBalance, exp_alerts: []}
      - eval_time: 8m
        alertname: MyopiaLedgerOutOfBalance
        exp_alerts:
          - exp_labels: {severity: critical}
            exp_annotations:
              summary: Accepted asks are in no state at all; one was lost or counted twice.
  # Nothing was asked yet, and nobody works.
  - interval: 15s
    input_series:
      - {series: 'myopia_workers{job="gateway"}', values: '0x40'}
      - {series: 'myopia_worker_slots{job="gateway"}', values: '0x40'}
      - {series: 'myopia_num_requests_running{job="gateway"}', values: '0x40'}
      - {series: 'myopia_num_requests_waiting{job="gateway"}', values: '7x40'}
      - {series: 'myopia_request_decode_time_seconds_count{job="gateway"}', values: '0x40'}
      - {series: 'myopia_request_decode_time_seconds_sum{job="gateway"}', values: '0x40'}
      - {series: 'myopia_request_prefill_time_seconds_sum{job="gateway"}', values: '0x40'}
    promql_expr_test:
      - {expr: 'myopia:service_seconds', eval_time: 5m, exp_samples: [
          {labels: 'myopia:service_seconds', value: 1}]}
      - {expr: 'myopia:predicted_wait_seconds', eval_time: 5m, exp_samples: [
          {labels: 'myopia:predicted_wait_seconds', value: 7}]}
    alert_rule_test:
      - eval_time: 3m
        alertname: MyopiaNoWorker
        exp_alerts:
          - exp_labels: {severity: critical}
            exp_annotations:
              summary: "No worker takes asks; look at the workers' readiness and their model's \
path."
"""


def test_rules_compute_what_they_say(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (it comes with Prometheus)")
    (tmp_path / "rules.yml").write_text(RULES.read_text())
    (tmp_path / "cases.yml").write_text(CASES)
    command = [promtool, "test", "rules", str(tmp_path / "cases.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
