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
CASES = Path(__file__).parent / "rule_cases.yml"
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
        "myopia_kv_budget_ratio_sum",
        "myopia_kv_tokens_kept_total",
        "myopia_result_cache_total",
        "myopia_prefill_reuse_total",
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


def test_rules_compute_what_they_say(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (it comes with Prometheus)")
    (tmp_path / "rules.yml").write_text(RULES.read_text())
    (tmp_path / "cases.yml").write_text(CASES.read_text())
    command = [promtool, "test", "rules", str(tmp_path / "cases.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
