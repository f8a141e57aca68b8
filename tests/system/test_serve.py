"""`make serve` as a newcomer meets it: one command, a right answer, nothing left behind."""

import os
import signal
import time
from pathlib import Path

import httpx
import pytest

from tests.system.serving import ROOT, Served, serving, status_of, wait_until

EXAMPLES = [ROOT / "examples" / f"{number}.png" for number in (1, 2, 3)]
QUESTION = "Which image shows a red circle?"


def ask(address: str, **params: str) -> httpx.Response:
    files = [("images", (path.name, path.read_bytes(), "image/png")) for path in EXAMPLES]
    data = {"question": QUESTION, **params}
    return httpx.post(f"{address}/v1/ask", data=data, files=files, timeout=100)


def test_the_readme_curl_gets_a_right_answer(served: Served) -> None:
    answer = ask(served.address)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["answer"] == "2"  # a green star and a red circle; see examples/
    assert body["finish_reason"] == "stop"
    assert 0 < body["usage"]["kv_bytes"] < body["usage"]["kv_bytes_full"]


def test_the_same_ask_twice_is_a_hit_with_the_same_bytes(served: Served) -> None:
    params = {"params": '{"generation": {"max_tokens": 7}}'}
    first, second = ask(served.address, **params), ask(served.address, **params)
    assert first.json()["cache"]["result"] == "miss"
    assert second.json()["cache"]["result"] == "hit"
    assert first.json()["answer"].encode() == second.json()["answer"].encode()


@pytest.mark.slow
def test_a_worker_that_dies_is_started_again(served: Served) -> None:
    (before,) = served.children("worker")
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: served.children("worker") not in ([], [before]), 60, "a new worker process")
    params = {"params": '{"cache": "off", "timeout_seconds": 90}'}
    answer = ask(served.address, **params)
    assert answer.status_code == 200, answer.text + served.log.read_text()[-3000:]


@pytest.mark.slow
def test_an_interrupt_stops_everything(tmp_path: Path) -> None:
    with serving(tmp_path) as running:
        pids = [pid for room in ("worker", "service") for pid in running.children(room)]
        assert len(pids) == 2
        started = time.monotonic()
        running.process.send_signal(signal.SIGINT)
        running.process.wait(45)
        assert running.process.returncode == 0, running.log.read_text()[-2000:]
        assert time.monotonic() - started < 40
        assert status_of(running.address, "/livez") == 0
        assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
