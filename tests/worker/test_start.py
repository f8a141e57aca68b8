"""What a worker refuses to start with, and the words that it refuses with."""

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.redis_server import free_port
from tests.worker.conftest import StartWorker
from tests.worker.processes import ROOT, wait_for
from wire.settings import WireSettings
from worker.main import NO_STORE, WRONG_SETTING, Refusal, check_pool
from worker.settings import WorkerSettings


@pytest.mark.parametrize("arguments", [["--pool=prefork"], ["-P", "solo"], ["--pool", "gevent"]])
def test_any_other_pool_is_refused(arguments: list[str]) -> None:
    with pytest.raises(Refusal, match="only `threads`"):
        check_pool(WorkerSettings(), arguments)


def test_threads_may_be_said_and_other_arguments_may_not() -> None:
    check_pool(WorkerSettings(), [])
    check_pool(WorkerSettings(), ["-P", "threads"])
    check_pool(WorkerSettings(), ["--pool=threads"])
    with pytest.raises(Refusal, match="unknown argument"):
        check_pool(WorkerSettings(), ["--concurrency=4"])
    with pytest.raises(Refusal, match="MYOPIA_POOL=solo"):
        check_pool(WorkerSettings(pool="solo"), [])


def run(environment: dict[str, str], module: str = "worker") -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stderr


def test_what_lives_as_long_as_the_process_is_not_collected_again(
    wire_settings: WireSettings,
) -> None:
    """To collect all that was imported takes tens of milliseconds, in which no ask moves."""
    script = """
import gc, sys
from tests.worker.fake_main import open_fake
from worker import main as worker
worker.Worker.run = lambda self: print(gc.get_freeze_count(), file=sys.stderr) or 0
sys.exit(worker.main([], opener=open_fake))
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "MYOPIA_REDIS_URL": wire_settings.durable_url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split()[-1]) > 50_000


def test_a_wrong_setting_is_named() -> None:
    code, words = run({"MYOPIA_CONCURRENCY": "0", "MYOPIA_REDIS_URL": "redis://127.0.0.1:1/0"})
    assert code == WRONG_SETTING
    assert "MYOPIA_CONCURRENCY" in words
    code, words = run({"MYOPIA_REDIS_URL": "http://secret@x"}, "tests.worker.fake_main")
    assert code == WRONG_SETTING
    assert "MYOPIA_REDIS_URL" in words
    assert "secret" not in words


def test_a_model_that_is_not_there_is_named(wire_settings: WireSettings, tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere")
    code, words = run({"MYOPIA_MODEL": missing, "MYOPIA_REDIS_URL": wire_settings.durable_url})
    assert code == WRONG_SETTING
    assert f"MYOPIA_MODEL={missing}" in words


@pytest.mark.parametrize("name", ["MYOPIA_MODEL", "MYOPIA_CALIBRATION"])
def test_what_is_not_there_is_refused_before_torch_is_loaded(name: str) -> None:
    script = """
import sys
from myopia.errors import Unsupported
from worker.engines import open_engine
from worker.settings import WorkerSettings
try:
    open_engine(WorkerSettings())
except Unsupported as refused:
    sys.exit(f"{refused} {'torch' in sys.modules}")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", name: "/nowhere/at/all"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "/nowhere/at/all" in done.stderr
    assert done.stderr.split()[-1] == "False"


def test_a_missing_password_is_refused_at_once(wire_settings: WireSettings) -> None:
    without = wire_settings.durable_url.replace(":test-password@", "")
    code, words = run({"MYOPIA_REDIS_URL": without}, "tests.worker.fake_main")
    assert code == WRONG_SETTING
    assert "MYOPIA_REDIS_URL: Redis refuses its user or password" in words
    assert "waiting for Redis" not in words


@pytest.mark.slow
def test_a_redis_that_is_not_there_is_named() -> None:
    url = f"redis://:secret@127.0.0.1:{free_port()}/0"
    code, words = run({"MYOPIA_REDIS_URL": url}, "tests.worker.fake_main")
    assert code == NO_STORE
    assert "MYOPIA_REDIS_URL" in words
    assert "secret" not in words


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""


def test_probes_answer(start_worker: StartWorker) -> None:
    port = free_port()
    start_worker(MYOPIA_WORKER_PORT=port)
    wait_for(lambda: get(port, "/readyz")[0] == 200)
    assert get(port, "/livez") == (200, "ok\n")
    status, text = get(port, "/metrics")
    assert status == 200
    assert "myopia_num_requests_running" in text
    assert get(port, "/other")[0] == 404
