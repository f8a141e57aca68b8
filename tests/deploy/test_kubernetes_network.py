"""The walls between pods, as a table: who may open a connection to whom, and nobody else."""

import ipaddress
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.manifests import (
    OVERLAYS,
    ROOT,
    Manifest,
    kustomize,
    of_kind,
    pod_labels,
    workloads,
)
from tests.deploy.test_kubernetes_links import matches

EACH = pytest.mark.parametrize("overlay", OVERLAYS)
COMPONENT = "app.kubernetes.io/component"
ALWAYS = {
    ("gateway", "redis", 6379),
    ("gateway", "redis-cache", 6379),
    ("worker", "redis", 6379),
    ("worker", "redis-cache", 6379),
}
WITH_RABBITMQ = {("gateway", "rabbitmq", 5672), ("worker", "rabbitmq", 5672)}
# A pod, a node, a home router, the cloud's metadata, a carrier's network.
NEIGHBOURS = {
    4: ("10.96.0.1", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    6: ("fd00::1", "fe80::1"),
}
PORTS = (6379, 5672, 8000, 8001)


def applying(overlay: str, labels: dict[str, str], direction: str) -> list[Manifest]:
    """Policies of one direction that pick a pod with these labels."""
    return [
        p["spec"]
        for p in of_kind(overlay, "NetworkPolicy")
        if direction in p["spec"]["policyTypes"] and matches(p["spec"]["podSelector"], labels)
    ]


def lets(rules: list[dict[str, Any]], side: str, labels: dict[str, str], port: int) -> bool:
    """Whether some rule allows this pod of the namespace on this port."""
    for rule in rules:
        pods = any(
            "podSelector" in peer
            and "namespaceSelector" not in peer
            and matches(peer["podSelector"], labels)
            for peer in rule.get(side, [])
        )
        if pods and port in {p["port"] for p in rule["ports"]}:
            return True
    return False


def allowed(overlay: str) -> set[tuple[str, str, int]]:
    """Connections that both the caller's and the callee's policies allow."""
    found = set()
    everyone = [pod_labels(w) for w in workloads(overlay)]
    for caller in everyone:
        going = applying(overlay, caller, "Egress")
        for callee in everyone:
            coming = applying(overlay, callee, "Ingress")
            assert going, caller
            assert coming, callee
            for port in PORTS:
                out = any(lets(p.get("egress", []), "to", callee, port) for p in going)
                into = any(lets(p.get("ingress", []), "from", caller, port) for p in coming)
                if out and into:
                    found.add((caller[COMPONENT], callee[COMPONENT], port))
    return found


@EACH
def test_who_may_connect_to_whom(overlay: str) -> None:
    expected = ALWAYS | (WITH_RABBITMQ if overlay == "rabbitmq" else set())
    assert allowed(overlay) == expected


@EACH
def test_everything_is_denied_first(overlay: str) -> None:
    (deny,) = [
        p for p in of_kind(overlay, "NetworkPolicy") if p["metadata"]["name"] == "default-deny"
    ]
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


@EACH
def test_nobody_but_the_fetching_job_reaches_the_world(overlay: str) -> None:
    goers = {
        p["metadata"]["name"]
        for p in of_kind(overlay, "NetworkPolicy")
        for rule in p["spec"].get("egress", [])
        for peer in rule.get("to", [{}])
        if "ipBlock" in peer or not peer
    }
    assert goers == (set() if overlay == "cpu-demo" else {"model-fetch"})


@EACH
def test_policies_pick_somebody(overlay: str) -> None:
    for policy in of_kind(overlay, "NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        assert any(matches(selector, pod_labels(w)) for w in workloads(overlay)), policy["metadata"]


def test_fetching_opens_public_addresses_alone(tmp_path: Path) -> None:
    """The component that no overlay has by itself, added to the demo."""
    command = kustomize()
    if command is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    away = os.path.relpath(ROOT / "k8s", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(
        f"resources: [{away}/overlays/cpu-demo]\ncomponents: [{away}/components/fetch]\n"
    )
    done = subprocess.run([*command, str(tmp_path)], capture_output=True, text=True, check=True)
    manifests = list(yaml.safe_load_all(done.stdout))
    (policy,) = [m for m in manifests if m["metadata"]["name"] == "gateway-fetch"]
    assert policy["spec"]["podSelector"]["matchLabels"] == {COMPONENT: "gateway"}
    for peer in policy["spec"]["egress"][0]["to"]:
        block = peer["ipBlock"]
        network = ipaddress.ip_network(block["cidr"])
        kept_out = [ipaddress.ip_network(one) for one in block["except"]]
        for address in NEIGHBOURS[network.version]:
            assert any(ipaddress.ip_address(address) in one for one in kept_out), address
