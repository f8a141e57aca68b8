"""The probe tells well from unwell, whatever proxy the environment names."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

PROBE = Path(__file__).parents[2] / "deploy" / "probe.py"


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/livez": 200}.get(self.path, 503))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()


def probe(path: str, default: int, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROBE), "SOME_PORT", str(default), path]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_well(port: int) -> None:
    assert probe("/livez", port).returncode == 0


def test_unwell_says_why(port: int) -> None:
    done = probe("/readyz", port)
    assert done.returncode == 1
    assert "503" in done.stderr


def test_nobody_there() -> None:
    assert probe("/livez", 1).returncode == 1


def test_the_environment_moves_the_port(port: int) -> None:
    assert probe("/livez", 1, SOME_PORT=str(port)).returncode == 0


def test_a_proxy_is_not_asked(port: int) -> None:
    assert probe("/livez", port, http_proxy="http://127.0.0.1:1").returncode == 0
