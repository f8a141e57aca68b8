"""The demo overlay without a cluster: every container started exactly as rendered, then asked."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.deploy.manifests import Manifest, workloads
from tests.system.asking import QUESTION, ROOT, picture, wait_for
from tests.system.containers import docker, inspect, need_docker
from tests.system.kubelet import Cluster, probe, published

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
OVERLAY = "cpu-demo"
GATEWAYS = 2
READY_SECONDS = 300
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


@dataclass(frozen=True)
class Running:
    cluster: Cluster
    pods: list[tuple[Manifest, str]]
    key: str

    def of(self, workload: str) -> list[str]:
        return [name for manifest, name in self.pods if manifest["metadata"]["name"] == workload]

    def ask(self, gateway: int, **headers: str) -> httpx.Response:
        address = published(self.of("gateway")[gateway], 8000)
        files = [("images", (f"{c}.png", picture(c), "image/png")) for c in ("blue", "red")]
        data = {"question": QUESTION, "params": '{"cache": "off", "timeout_seconds": 110}'}
        return httpx.post(
            f"http://{address}/v1/ask", files=files, data=data, headers=headers, timeout=150
        )


def logs(name: str) -> str:
    """The last words of a container."""
    done = docker("logs", "--tail", "40", name, check=False)
    return f"{name}\n{done.stdout}{done.stderr}"


def make_key(folder: Path) -> tuple[str, str]:
    """A key and the file that knows its hash, as docs/deploy.md has them made."""
    file = folder / "keys.json"
    command = [sys.executable, "-m", "service.keys", "demo", "--file", str(file)]
    key = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return key.strip(), file.read_text()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    need_docker()
    key, file = make_key(tmp_path_factory.mktemp("keys"))
    given = {
        "myopia-redis": {"password": secrets.token_hex(24)},
        "myopia-api-keys": {"keys": file},
    }
    cluster = Cluster(OVERLAY, f"myopia-k8s-{os.getpid()}", given)
    cluster.open()
    try:
        pods = []
        for workload in workloads(OVERLAY):
            copies = GATEWAYS if workload["metadata"]["name"] == "gateway" else 1
            pods += [(workload, cluster.start(workload, n)) for n in range(copies)]
        for workload, name in pods:
            wait_for(
                partial(probe, workload, "startupProbe", name),
                READY_SECONDS,
                partial(logs, name),
            )
        yield Running(cluster, pods, key)
    finally:
        cluster.close()


def test_every_workload_runs(running: Running) -> None:
    names = {manifest["metadata"]["name"] for manifest, _ in running.pods}
    assert names == {"gateway", "worker", "redis", "redis-cache"}
    for _, name in running.pods:
        state = inspect(name)
        assert state["State"]["Running"], name
        assert state["RestartCount"] == 0, logs(name)


def test_every_probe_succeeds(running: Running) -> None:
    for workload, name in running.pods:
        for kind in PROBES:
            assert probe(workload, kind, name), (name, kind)


def test_everything_is_held_to_what_was_rendered(running: Running) -> None:
    for _, name in running.pods:
        host = inspect(name)["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["Memory"] > 0
        assert host["NanoCpus"] > 0
        assert not inspect(name)["Config"]["User"].startswith("0")


def test_a_question_is_answered_by_each_gateway(running: Running) -> None:
    for gateway in range(GATEWAYS):
        answer = running.ask(gateway, Authorization=f"Bearer {running.key}")
        assert answer.status_code == 200, answer.text
        assert answer.json()["model"] == "pocket"


def test_without_the_key_there_is_no_answer(running: Running) -> None:
    assert running.ask(0).status_code == 401
    assert running.ask(0, Authorization="Bearer myopia_wrong").status_code == 401


def test_redis_refuses_who_has_no_password(running: Running) -> None:
    for role in ("redis", "redis-cache"):
        (name,) = running.of(role)
        done = docker("exec", "-e", "REDISCLI_AUTH=", name, "redis-cli", "ping", check=False)
        assert "NOAUTH" in done.stdout + done.stderr


def test_what_was_accepted_outlives_redis(running: Running) -> None:
    """SIGTERM, as an eviction sends it; the volume stays, and so does the ledger."""
    auth = {"Authorization": f"Bearer {running.key}"}
    answer = running.ask(0, **auth)
    assert answer.status_code == 200, answer.text
    (redis,) = running.of("redis")
    docker("restart", redis)
    (manifest,) = [m for m, name in running.pods if name == redis]
    wait_for(lambda: probe(manifest, "readinessProbe", redis), 60, "Redis after its restart")
    address = published(running.of("gateway")[1], 8000)
    url = f"http://{address}/v1/asks/{answer.json()['id']}"
    wait_for(lambda: httpx.get(url, headers=auth, timeout=10).status_code == 200, 30, url)
    found = httpx.get(url, headers=auth, timeout=10).json()
    assert found["status"] == "done", json.dumps(found)


def test_a_worker_leaves_within_its_grace(running: Running) -> None:
    (worker,) = running.of("worker")
    docker("stop", worker, seconds=200)
    assert inspect(worker)["State"]["ExitCode"] == 0
