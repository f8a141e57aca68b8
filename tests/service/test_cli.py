import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.cli import main
from tests.service.responder import Responder, Step, done
from tests.service.test_ask import BLUE, RED, body
from tests.service.waiting import eventually
from wire.messages import Ask, Failed, Token

ROOT = Path(__file__).parents[2]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name, data in (("a.png", RED), ("b.png", BLUE)):
        (tmp_path / name).write_bytes(data)
    return [str(tmp_path / "a.png"), str(tmp_path / "b.png")]


def test_answer_is_printed_as_it_comes(
    files: list[str], responder: Responder, base_url: str, capsys: Capture
) -> None:
    words = ["ask", *files, "Which?", "--url", base_url, "--budget", "0.5", "--option", "2 Which?"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out == "2 Which?\n"
    assert "6 of 32 picture tokens kept, cache miss" in err
    (ask,) = responder.asks
    assert (ask.pruning.budget, ask.options) == (0.5, ("2 Which?",))


def test_whole_answer_is_json_when_wanted(
    files: list[str], responder: Responder, base_url: str, capsys: Capture
) -> None:
    assert main(["ask", *files, "Which?", "--json", "--url", base_url]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == "2 Which?"


def test_warnings_are_shown(
    files: list[str], responder: Responder, base_url: str, capsys: Capture
) -> None:
    responder.script = lambda ask: iter([Token(text="x"), done("x", warnings=("odd word",))])
    assert main(["ask", files[0], "Which?", "--url", base_url]) == 0
    assert "warning: odd word" in capsys.readouterr().err


def test_problems_say_what_to_change(
    files: list[str], responder: Responder, base_url: str, capsys: Capture
) -> None:
    assert main(["ask", *files, "Which?", "--budget", "7", "--url", base_url]) == 1
    assert "(/pruning/budget)" in capsys.readouterr().err
    responder.script = lambda ask: iter([Failed(code="out_of_memory", detail="Send less.")])
    assert main(["ask", *files, "Which?", "--url", base_url]) == 1
    assert "out_of_memory: Send less." in capsys.readouterr().err


def test_missing_file_and_service_are_told(files: list[str], capsys: Capture) -> None:
    assert main(["ask", "/nowhere.png", "Which?"]) == 2
    assert "no such file" in capsys.readouterr().err
    assert main(["ask", *files, "Which?", "--url", "http://127.0.0.1:9"]) == 1
    assert "cannot be reached" in capsys.readouterr().err


def started(*words: str) -> subprocess.Popen[str]:
    """The command as people run it."""
    command = [sys.executable, "-m", "service.cli", "ask", *words]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


@pytest.fixture
def idle(responder: Responder) -> Responder:
    """A worker with one slot that is alive and takes nothing up, of a mean of two seconds."""
    responder.stop_taking()
    responder.capacity = 1
    responder.store.text.hset("myopia:count", "service_ms", "2000")
    return responder


def test_place_in_line_and_the_streamed_answer_are_shown(
    files: list[str], idle: Responder, http: httpx.Client, base_url: str
) -> None:
    def slow(ask: Ask) -> Iterator[Step]:
        yield 2.5
        yield Token(text="two ")
        yield 1.0
        yield Token(text="words")
        yield done("two words")

    def slots() -> int:
        return int(http.get("/readyz").json()["slots"])

    assert eventually(lambda: slots() == 1)
    first = http.post("/v1/ask", json=body(RED), headers={"prefer": "respond-async"}).json()["id"]
    with started(*files, "Which?", "--url", base_url) as asking:
        assert asking.stderr is not None
        assert asking.stdout is not None
        assert asking.stderr.readline() == "number 2 in line, about 2 s to wait\n"
        http.delete(f"/v1/asks/{first}")
        assert asking.stderr.readline() == "number 1 in line, about 0 s to wait\n"
        idle.script = slow
        idle._idle.clear()
        assert asking.stderr.readline() == "taken up\n"
        assert asking.stdout.read(4) == "two "
        assert asking.poll() is None, "the answer was shown only when it was complete"
        rest, err = asking.communicate(timeout=10)
    assert (rest, asking.returncode) == ("words\n", 0)
    assert "6 of 32 picture tokens kept" in err


@pytest.fixture
def heard() -> Iterator[None]:
    """A child hears Ctrl-C, which a script's background jobs, as these tests may be, ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
def test_without_workers_it_says_so_and_ctrl_c_leaves_and_cancels(
    files: list[str], http: httpx.Client, base_url: str
) -> None:
    with started(*files, "Which?", "--url", base_url) as asking:
        assert asking.stderr is not None
        assert asking.stderr.readline() == "number 1 in line, no worker is there yet\n"
        asking.send_signal(signal.SIGINT)
        _, err = asking.communicate(timeout=10)
    assert (asking.returncode, err) == (130, "left; the service cancels the ask\n")
    assert eventually(lambda: 'myopia_jobs{state="cancelled"} 1.0' in http.get("/metrics").text, 8)
