"""What every pod of every overlay must have: limits, probes, few rights, known settings."""

import re

import pytest

from tests.deploy.manifests import (
    OVERLAYS,
    containers,
    environment,
    named,
    of_kind,
    pod,
    render,
    workloads,
)
from tests.deploy.settings_names import settings_names

EACH = pytest.mark.parametrize("overlay", OVERLAYS)
# Names that are read by others than us: torch's OpenMP, the hub's client, redis-cli, RabbitMQ;
# and the passwords that our own URLs are put together from.
OTHERS = {
    "OMP_NUM_THREADS",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "REDISCLI_AUTH",
    "MAXMEMORY",
    "REDIS_PASSWORD",
    "RABBITMQ_PASSWORD",
    "RABBITMQ_DEFAULT_USER",
    "RABBITMQ_DEFAULT_PASS",
    "RABBITMQ_CONFIG_FILES",
}
RESTRICTED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}


@EACH
def test_containers_ask_for_and_are_held_to_amounts(overlay: str) -> None:
    for workload, container in containers(overlay):
        for kind in ("requests", "limits"):
            amounts = container["resources"][kind]
            assert {"cpu", "memory", "ephemeral-storage"} <= set(amounts), (
                workload["metadata"]["name"],
                kind,
            )


@EACH
def test_long_running_containers_have_three_probes(overlay: str) -> None:
    for workload, container in containers(overlay, init=False):
        if workload["kind"] == "Job":
            continue
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert probe in container, (workload["metadata"]["name"], probe)


@EACH
def test_containers_have_few_rights(overlay: str) -> None:
    for _, container in containers(overlay):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


@EACH
def test_pods_pass_the_restricted_standard(overlay: str) -> None:
    for workload in workloads(overlay):
        spec = pod(workload)
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        # otherwise a Service called myopia-port would set MYOPIA_PORT
        assert spec["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        for volume in spec.get("volumes", []):
            assert set(volume) - {"name"} <= RESTRICTED_VOLUMES


@EACH
def test_the_namespace_enforces_the_restricted_standard(overlay: str) -> None:
    labels = named(overlay, "Namespace", "myopia")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for manifest in render(overlay):
        if manifest["kind"] != "Namespace":
            assert manifest["metadata"]["namespace"] == "myopia", manifest["metadata"]["name"]


@EACH
def test_images_are_named_by_version(overlay: str) -> None:
    for _, container in containers(overlay):
        name, _, tag = container["image"].rpartition(":")
        assert name
        assert tag != "latest"
        assert re.match(r"\d", tag), container["image"]


@EACH
def test_our_settings_exist(overlay: str) -> None:
    known = settings_names() | OTHERS
    for workload, container in containers(overlay):
        unknown = set(environment(overlay, container)) - known
        assert not unknown, (workload["metadata"]["name"], unknown)


@EACH
def test_references_in_values_are_defined_before_them(overlay: str) -> None:
    """Kubernetes leaves `$(NAME)` as it is when NAME comes later, and says nothing."""
    for _, container in containers(overlay):
        seen: set[str] = set()
        for entry in container.get("env", []):
            assert set(re.findall(r"\$\((\w+)\)", entry.get("value", ""))) <= seen
            seen.add(entry["name"])
        for word in [*container.get("command", []), *container.get("args", [])]:
            assert set(re.findall(r"\$\((\w+)\)", word)) <= seen


@EACH
def test_secrets_come_from_outside(overlay: str) -> None:
    assert not of_kind(overlay, "Secret")
    outside = {"myopia-redis", "myopia-api-keys"}
    outside |= {"myopia-rabbitmq"} if overlay == "rabbitmq" else set()
    used: set[str] = set()
    for workload, container in containers(overlay):
        for entry in container.get("env", []):
            if "valueFrom" in entry:
                used.add(entry["valueFrom"]["secretKeyRef"]["name"])
        for volume in pod(workload).get("volumes", []):
            if "secret" in volume:
                used.add(volume["secret"]["secretName"])
    assert used == outside


@EACH
def test_whatever_is_mounted_exists(overlay: str) -> None:
    configs = {m["metadata"]["name"] for m in of_kind(overlay, "ConfigMap")}
    claims = {m["metadata"]["name"] for m in of_kind(overlay, "PersistentVolumeClaim")}
    for workload in workloads(overlay):
        spec = pod(workload)
        volumes = {v["name"]: v for v in spec.get("volumes", [])}
        for volume in volumes.values():
            if "configMap" in volume:
                assert volume["configMap"]["name"] in configs
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
        templates = {
            t["metadata"]["name"] for t in workload["spec"].get("volumeClaimTemplates", [])
        }
        for container in [*spec["containers"], *spec.get("initContainers", [])]:
            for mount in container.get("volumeMounts", []):
                assert mount["name"] in volumes.keys() | templates
