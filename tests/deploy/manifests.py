"""The overlays as kubectl renders them, and how to find things in the result."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
OVERLAYS = ("cpu-demo", "gpu", "gpu-keda", "rabbitmq")
Manifest = dict[str, Any]


def kustomize() -> list[str] | None:
    """The command that renders a folder; None where the machine has none."""
    if shutil.which("kubectl"):
        return ["kubectl", "kustomize"]
    if shutil.which("kustomize"):
        return ["kustomize", "build"]
    return None


@cache
def render(overlay: str) -> tuple[Manifest, ...]:
    """Every object of one overlay; skips the test where nothing can render."""
    command = kustomize()
    if command is None:
        pytest.skip("neither kubectl nor kustomize is installed")
    folder = ROOT / "k8s" / "overlays" / overlay
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, *kinds: str) -> list[Manifest]:
    """Objects of these kinds."""
    return [m for m in render(overlay) if m["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Manifest:
    """The one object of this kind and name."""
    (found,) = [m for m in of_kind(overlay, kind) if m["metadata"]["name"] == name]
    return found


def workloads(overlay: str) -> list[Manifest]:
    """Whatever makes pods."""
    return of_kind(overlay, "Deployment", "StatefulSet", "Job", "DaemonSet", "CronJob")


def pod(workload: Manifest) -> Manifest:
    """The pod's spec."""
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def pod_labels(workload: Manifest) -> dict[str, str]:
    """Labels that its pods carry."""
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def containers(overlay: str, *, init: bool = True) -> Iterator[tuple[Manifest, Manifest]]:
    """Every container with its workload."""
    for workload in workloads(overlay):
        spec = pod(workload)
        for container in [*spec["containers"], *(spec.get("initContainers", []) if init else [])]:
            yield workload, container


def environment(overlay: str, container: Manifest) -> dict[str, str | None]:
    """Names that a container's environment has; the value where it is written out."""
    found: dict[str, str | None] = {}
    for source in container.get("envFrom", []):
        found.update(named(overlay, "ConfigMap", source["configMapRef"]["name"])["data"])
    for entry in container.get("env", []):
        found[entry["name"]] = entry.get("value")
    return found
