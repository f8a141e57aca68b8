"""Choices that a schema cannot see: graces, roll-outs, GPUs, models, Redis' two roles."""

import re

import pytest

from tests.deploy.manifests import (
    OVERLAYS,
    ROOT,
    Manifest,
    containers,
    environment,
    named,
    of_kind,
    pod,
)

EACH = pytest.mark.parametrize("overlay", OVERLAYS)
GPU = tuple(o for o in OVERLAYS if o != "cpu-demo")
MARGIN_SECONDS = 10


def main_container(overlay: str, kind: str, name: str) -> Manifest:
    container: Manifest = pod(named(overlay, kind, name))["containers"][0]
    return container


def longest_ask(overlay: str) -> float:
    gateway = main_container(overlay, "Deployment", "gateway")
    return float(environment(overlay, gateway)["MYOPIA_MAX_TIMEOUT_SECONDS"] or 0)


@EACH
def test_graces_exceed_the_longest_ask(overlay: str) -> None:
    for name, setting in (("gateway", "MYOPIA_DRAIN_SECONDS"), ("worker", "MYOPIA_GRACE_SECONDS")):
        spec = pod(named(overlay, "Deployment", name))
        container = spec["containers"][0]
        before = container.get("lifecycle", {}).get("preStop", {"sleep": {"seconds": 0}})
        drain = float(environment(overlay, container)[setting] or 0)
        assert drain > longest_ask(overlay)
        needed = before["sleep"]["seconds"] + drain + MARGIN_SECONDS
        assert spec["terminationGracePeriodSeconds"] >= needed


@EACH
def test_a_worker_never_waits_for_a_second_gpu(overlay: str) -> None:
    strategy = named(overlay, "Deployment", "worker")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


@EACH
def test_gateways_never_become_fewer_in_a_roll_out(overlay: str) -> None:
    strategy = named(overlay, "Deployment", "gateway")["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@EACH
def test_a_worker_has_ten_minutes_to_load(overlay: str) -> None:
    probe = main_container(overlay, "Deployment", "worker")["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 600


@EACH
def test_liveness_asks_less_than_readiness(overlay: str) -> None:
    worker = main_container(overlay, "Deployment", "worker")
    assert worker["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert worker["livenessProbe"]["httpGet"]["path"] == "/livez"


@pytest.mark.parametrize("overlay", GPU)
def test_gpu_workers_get_one_gpu(overlay: str) -> None:
    resources = main_container(overlay, "Deployment", "worker")["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "1"
    keys = [t["key"] for t in pod(named(overlay, "Deployment", "worker"))["tolerations"]]
    assert keys == ["nvidia.com/gpu"]


def test_the_demo_needs_no_gpu() -> None:
    for _, container in containers("cpu-demo"):
        assert "nvidia.com/gpu" not in container["resources"]["limits"]


@pytest.mark.parametrize("overlay", GPU)
def test_the_job_fills_the_folder_that_workers_load(overlay: str) -> None:
    (job,) = of_kind(overlay, "Job")
    fetch = pod(job)["containers"][0]
    repository, revision, folder = fetch["args"]
    worker = main_container(overlay, "Deployment", "worker")
    assert environment(overlay, worker)["MYOPIA_MODEL"] == folder
    assert re.fullmatch(r"[0-9a-f]{40}", revision)
    assert revision[:8] in job["metadata"]["name"]
    assert fetch["image"] == worker["image"]
    (init,) = pod(named(overlay, "Deployment", "worker"))["initContainers"]
    assert init["image"] == worker["image"]
    # compose fetches the same
    lines = (ROOT / "deploy" / "gpu.env").read_text().splitlines()
    chosen = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert (chosen["MODEL_REPOSITORY"], chosen["MODEL_REVISION"]) == (repository, revision)
    assert chosen["MYOPIA_GPU_MODEL"] == folder


def test_only_the_job_may_go_online() -> None:
    for overlay in OVERLAYS:
        for workload, container in containers(overlay):
            online = environment(overlay, container).get("HF_HUB_OFFLINE") == "0"
            assert online == (workload["kind"] == "Job")


@EACH
def test_redis_has_two_roles(overlay: str) -> None:
    durable = main_container(overlay, "StatefulSet", "redis")["args"]
    cache = main_container(overlay, "Deployment", "redis-cache")["args"]

    def option(words: list[str], name: str) -> str:
        return words[words.index(f"--{name}") + 1]

    assert option(durable, "maxmemory-policy") == "noeviction"
    assert option(durable, "appendonly") == "yes"
    assert option(cache, "maxmemory-policy") == "allkeys-lru"
    assert option(cache, "appendonly") == "no"
    for words in (durable, cache):
        assert option(words, "requirepass") == "$(REDISCLI_AUTH)"


@EACH
def test_redis_is_allowed_more_than_its_data(overlay: str) -> None:
    """Rewriting the append-only file copies pages, and the file may be twice the data."""
    redis = main_container(overlay, "StatefulSet", "redis")
    data = int(str(environment(overlay, redis)["MAXMEMORY"]).removesuffix("gb"))
    assert int(redis["resources"]["limits"]["memory"].removesuffix("Gi")) >= 1.5 * data
    (claim,) = named(overlay, "StatefulSet", "redis")["spec"]["volumeClaimTemplates"]
    size = claim["spec"]["resources"]["requests"]["storage"]
    assert int(size.removesuffix("Gi")) >= 3 * data


def test_busy_workers_are_not_scaled_away() -> None:
    scaled = named("gpu-keda", "ScaledObject", "worker")["spec"]
    assert [t["type"] for t in scaled["triggers"]] == ["prometheus"]
    assert scaled["triggers"][0]["metadata"]["query"] == "myopia:workers_wanted"
    assert scaled["minReplicaCount"] >= 1
    down = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"]
    probe = main_container("gpu-keda", "Deployment", "worker")["startupProbe"]
    loading = probe["periodSeconds"] * probe["failureThreshold"]
    assert down["stabilizationWindowSeconds"] >= loading


def test_rabbitmq_keeps_messages_longer_than_the_longest_ask() -> None:
    (config,) = [
        m for m in of_kind("rabbitmq", "ConfigMap") if m["metadata"]["name"].startswith("rabbitmq")
    ]
    found = re.search(r"consumer_timeout = (\d+)", config["data"]["rabbitmq.conf"])
    assert found
    assert int(found[1]) / 1000 > longest_ask("rabbitmq")
    for name in ("gateway", "worker"):
        values = environment("rabbitmq", main_container("rabbitmq", "Deployment", name))
        assert str(values["MYOPIA_BROKER_URL"]).startswith("amqp://")
