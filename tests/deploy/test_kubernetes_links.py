"""Whatever points at something else points at something that is there."""

from typing import Any

import pytest

from tests.deploy.manifests import (
    OVERLAYS,
    Manifest,
    named,
    of_kind,
    pod,
    pod_labels,
    workloads,
)

EACH = pytest.mark.parametrize("overlay", OVERLAYS)


def matches(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a label selector picks these labels; only the operator `In` is known."""
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if labels.get(rule["key"]) not in rule["values"]:
            return False
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items())


def picked(overlay: str, selector: dict[str, Any]) -> list[Manifest]:
    return [w for w in workloads(overlay) if matches(selector, pod_labels(w))]


def ports_of(workload: Manifest) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"]
        for container in pod(workload)["containers"]
        for port in container.get("ports", [])
    }


@EACH
def test_workloads_select_their_own_pods_alone(overlay: str) -> None:
    for workload in workloads(overlay):
        if workload["kind"] != "Job":
            assert picked(overlay, workload["spec"]["selector"]) == [workload]


@EACH
def test_services_lead_to_a_port(overlay: str) -> None:
    for service in of_kind(overlay, "Service"):
        (workload,) = picked(overlay, {"matchLabels": service["spec"]["selector"]})
        for port in service["spec"]["ports"]:
            # the same number on both sides: what an environment says is what a process listens on
            assert ports_of(workload)[port["targetPort"]] == port["port"]


@EACH
def test_probes_ask_a_port_that_is_open(overlay: str) -> None:
    for workload in workloads(overlay):
        for container in pod(workload)["containers"]:
            for name in ("startupProbe", "readinessProbe", "livenessProbe"):
                probe = container.get(name, {})
                for kind in ("httpGet", "tcpSocket"):
                    if kind in probe:
                        assert probe[kind]["port"] in ports_of(workload)


@EACH
def test_budgets_pick_pods_and_let_nodes_be_drained(overlay: str) -> None:
    found = of_kind(overlay, "PodDisruptionBudget")
    assert {b["metadata"]["name"] for b in found} == {"gateway", "worker"}
    for budget in found:
        assert len(picked(overlay, budget["spec"]["selector"])) == 1
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


@EACH
def test_who_is_scaled_has_no_number_of_its_own(overlay: str) -> None:
    """A number in the manifest would undo the autoscaler's at every apply."""
    for scaler in of_kind(overlay, "HorizontalPodAutoscaler", "ScaledObject"):
        target = named(overlay, "Deployment", scaler["spec"]["scaleTargetRef"]["name"])
        assert "replicas" not in target["spec"]


@EACH
def test_gateways_are_spread_and_at_least_two(overlay: str) -> None:
    gateway = named(overlay, "Deployment", "gateway")
    keys = set()
    for spread in pod(gateway)["topologySpreadConstraints"]:
        assert matches(spread["labelSelector"], pod_labels(gateway))
        keys.add(spread["topologyKey"])
    assert keys == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert named(overlay, "HorizontalPodAutoscaler", "gateway")["spec"]["minReplicas"] >= 2


@EACH
def test_monitors_pick_a_service_and_a_port_of_it(overlay: str) -> None:
    for monitor in of_kind(overlay, "ServiceMonitor"):
        (service,) = [
            s
            for s in of_kind(overlay, "Service")
            if matches(monitor["spec"]["selector"], s["metadata"]["labels"])
        ]
        names = {port["name"] for port in service["spec"]["ports"]}
        assert {e["port"] for e in monitor["spec"]["endpoints"]} <= names
