import json
from pathlib import Path

import httpx
import pytest

from service.cli import main
from tests.service.responder import Responder, done
from tests.service.test_ask import BLUE, RED
from wire.messages import Failed, Token

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


def test_expected_wait_is_told(http: httpx.Client, responder: Responder) -> None:
    reply = http.post("/v1/ask", files={"images": ("a.png", RED)}, data={"question": "Which?"})
    assert float(reply.headers["x-expected-wait"]) >= 0
