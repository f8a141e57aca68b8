"""`docker compose up` really run: answered, a worker killed mid-ask, stopped within the grace."""

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from launch.redis import free_port
from tests.system.asking import ROOT, ask, ask_many, metric, status, wait_for
from tests.system.containers import docker, inspect, need_compose, redis_user

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
READY_SECONDS = 240
GRACE_SECONDS = 150
# Mid-ask needs asks that last a little: as many tokens as the pocket may be asked to write.
MANY, LONG = 6, 48
PATIENT_SECONDS = 400


@dataclass(frozen=True)
class Project:
    """One compose project of this test run."""

    command: tuple[str, ...]
    name: str
    environment: dict[str, str]
    address: str

    def run(self, *words: str, seconds: float = 300) -> str:
        done = subprocess.run(
            [*self.command, "-p", self.name, *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        return done.stdout

    def container(self, service: str) -> str:
        (found,) = self.run("ps", "-q", service).split()
        return found

    def logs(self) -> str:
        return self.run("logs", "--tail=60")[-6000:]

    def is_ready(self) -> bool:
        return status(self.address) == 200


@pytest.fixture(scope="module")
def project() -> Iterator[Project]:
    command = need_compose()
    port = free_port()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MYOPIA_")}
    environment |= {
        "MYOPIA_PUBLISHED_PORT": str(port),
        "MYOPIA_REDIS_USER": redis_user(),
        "MYOPIA_REDIS_PASSWORD": secrets.token_hex(16),
        # a machine that is busy with other things loads a model slowly: time for it
        "MYOPIA_MAX_TIMEOUT_SECONDS": str(PATIENT_SECONDS),
    }
    name = f"myopia-test-{os.getpid()}"
    made = Project(command, name, environment, f"http://127.0.0.1:{port}")
    try:
        made.run("up", "-d", "--no-build")
        wait_for(made.is_ready, READY_SECONDS, made.logs)
        yield made
    finally:
        made.run("down", "-v", "--timeout", "20")


def test_the_readme_curl_gets_a_right_answer(project: Project) -> None:
    pictures = [(ROOT / "examples" / f"{n}.png").read_bytes() for n in (1, 2, 3)]
    answer = ask(project.address, pictures)
    assert answer.status_code == 200, answer.text
    assert answer.json()["answer"] == "2"  # a green star and a red circle; see examples/


def test_the_same_ask_again_comes_from_the_cache(project: Project) -> None:
    pictures = [(ROOT / "examples" / f"{n}.png").read_bytes() for n in (1, 2, 3)]
    first, second = (ask(project.address, pictures).json() for _ in range(2))
    assert second["cache"]["result"] == "hit"
    assert second["answer"] == first["answer"]


def test_nothing_but_the_gateway_is_published(project: Project) -> None:
    for service in ("redis", "redis-cache", "worker"):
        bindings = inspect(project.container(service))["NetworkSettings"]["Ports"] or {}
        assert not any(bindings.values())
    (binding,) = inspect(project.container("gateway"))["NetworkSettings"]["Ports"]["8000/tcp"]
    assert binding["HostIp"] == "127.0.0.1"


def test_redis_wants_its_password(project: Project) -> None:
    for service in ("redis", "redis-cache"):
        words = ["exec", "-e", "REDISCLI_AUTH=", project.container(service), "redis-cli", "ping"]
        done = docker(*words, check=False)
        assert "NOAUTH" in done.stdout + done.stderr


def test_workers_reach_nothing_outside(project: Project) -> None:
    """The network of the workers has no way out, whatever a process in one tries."""
    code = "import socket; socket.create_connection(('1.1.1.1', 443), 3)"
    done = docker("exec", project.container("worker"), "python", "-c", code, check=False)
    assert done.returncode != 0
    assert "unreachable" in done.stderr or "timed out" in done.stderr


def test_a_container_cannot_write_but_to_its_tmp(project: Project) -> None:
    for service in ("gateway", "worker"):
        code = (
            "import os\n"
            "open('/tmp/x', 'w').close()\n"
            "for place in ('/app', '/opt/venv', '/etc', '/models'):\n"
            "    try: open(place + '/x', 'w').close()\n"
            "    except OSError as e: assert e.errno in (13, 30, 2), e\n"
            "    else: raise SystemExit(place)\n"
            "caps = [l for l in open('/proc/self/status') if l.startswith('CapBnd')]\n"
            "assert int(caps[0].split()[1], 16) == 0, caps\n"
        )
        docker("exec", project.container(service), "python", "-c", code)


def kill_worker(project: Project) -> None:
    """SIGKILL to the worker's process: its container ends, and its restart policy acts."""
    code = (
        "import os\n"
        "from pathlib import Path\n"
        "for entry in Path('/proc').glob('[0-9]*'):\n"
        "    words = (entry / 'cmdline').read_bytes().split(b'\\0')\n"
        "    if words[0].endswith(b'python') and b'worker' in words: os.kill(int(entry.name), 9)\n"
    )
    docker("exec", project.container("worker"), "python", "-c", code, check=False)


def test_a_worker_killed_mid_ask_loses_nothing(project: Project) -> None:
    started = inspect(project.container("worker"))["State"]["StartedAt"]
    pool, asks = ask_many(project.address, MANY, LONG, PATIENT_SECONDS)
    running = "myopia_num_requests_running"
    wait_for(lambda: metric(project.address, running) >= 2, 60, "asks that run")
    kill_worker(project)
    with pool:
        answers = [one.result() for one in asks]
    assert [answer.status_code for answer in answers] == [200] * MANY, project.logs()
    assert inspect(project.container("worker"))["State"]["StartedAt"] != started
    assert metric(project.address, "myopia_ledger_imbalance") == 0


def test_down_lets_what_runs_finish_and_keeps_the_grace(project: Project) -> None:
    wait_for(project.is_ready, READY_SECONDS, "readyz after the restart")
    gateway, worker = project.container("gateway"), project.container("worker")
    pool, asks = ask_many(project.address, 2, LONG, PATIENT_SECONDS)
    wait_for(
        lambda: metric(project.address, "myopia_num_requests_running") >= 1, 60, "asks that run"
    )
    started = time.monotonic()
    project.run("stop")
    took = time.monotonic() - started
    print(f"stopped in {took:.1f} s")
    with pool:
        assert [one.result().status_code for one in asks] == [200, 200]
    assert took < GRACE_SECONDS
    # uvicorn ends well by raising the signal again: 128 + 15. Killed would be 137.
    for name, codes in ((gateway, {0, 143}), (worker, {0})):
        state = inspect(name)["State"]
        assert state["ExitCode"] in codes
        assert not state["OOMKilled"]
    project.run("start")
    wait_for(project.is_ready, READY_SECONDS, "readyz after stop and start")
    # the ledger was on disk: what was accepted before is still known
    assert metric(project.address, "myopia_ledger_imbalance") == 0
