"""Ctrl-C ends the command wherever it comes, also where Python drops a KeyboardInterrupt.

A stand-in for httpx leads the command to such a place and says so.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT = "left; the service cancels the ask\n"

FINALISER = """
import time

class Slow:
    def __del__(self):
        print("here", flush=True)
        time.sleep(20)
"""
LOADING = FINALISER + "Slow()\n"
ASKING = FINALISER + "def Timeout(*_, **__): Slow()\n"
# A function in C that looks at no signal, like the look-up of a host's name.
DEAF = """
import hashlib

def Timeout(*_, **__):
    print("here", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1_000_000_000)
"""
GOES_ON = """
import sys, time

TransportError = OSError

def Timeout(*_, **__):
    print("here", flush=True)
    time.sleep(0.5)
    sys.exit(7)
"""


@pytest.fixture
def before() -> Iterator[None]:
    """The process's own way with Ctrl-C comes back; a child inherits whether it is ignored."""
    was = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, was)


def pressed(folder: Path, httpx: str) -> tuple[int, str]:
    """Exit code and standard error after one Ctrl-C where this stand-in says that it is."""
    (folder / "httpx.py").write_text(httpx)
    picture = folder / "a.png"
    picture.touch()
    with subprocess.Popen(
        [sys.executable, "-m", "service.cli", "ask", str(picture), "Which?"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as asking:
        assert asking.stdout is not None
        try:
            assert asking.stdout.readline() == "here\n"
            asking.send_signal(signal.SIGINT)
            _, err = asking.communicate(timeout=10)
        finally:
            asking.kill()
        return asking.returncode, err


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize(
    ("httpx", "end"),
    [(LOADING, (-signal.SIGINT, "")), (ASKING, (130, LEFT)), (DEAF, (130, LEFT))],
    ids=["loading", "finaliser", "deaf"],
)
def test_it_ends_wherever_it_is(tmp_path: Path, httpx: str, end: tuple[int, str]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    assert pressed(tmp_path, httpx) == end


@pytest.mark.usefixtures("before")
def test_who_ignores_it_goes_on_ignoring_it(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert pressed(tmp_path, GOES_ON) == (7, "")
