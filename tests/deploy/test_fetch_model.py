"""Filling the model volume, from a hub of our own on loopback: pinned, checked, all or nothing."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "fetch_model.py"
REPOSITORY, REVISION = "someone/small-model", "a1" * 20
FILES = {
    "config.json": b'{"model_type": "llava_next"}',
    "model.safetensors": bytes(range(256)) * 64,
    "pytorch_model.bin": b"a pickle that nobody wants",
}


def git_digest(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """The few paths of the model hub that a download and a verification use."""

    protocol_version = "HTTP/1.1"
    sent: ClassVar[dict[str, bytes]] = {}
    served: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == f"/api/models/{REPOSITORY}/revision/{REVISION}":
            siblings = [{"rfilename": name} for name in FILES]
            self._send(json.dumps({"id": REPOSITORY, "sha": REVISION, "siblings": siblings}))
        elif path == f"/api/models/{REPOSITORY}/tree/{REVISION}":
            self._send(json.dumps([self._entry(name) for name in FILES]))
        elif path.startswith(f"/{REPOSITORY}/resolve/{REVISION}/"):
            name = path.rsplit("/", 1)[1]
            self.served.append(name)
            self._send(self.sent[name], ETag=f'"{git_digest(FILES[name])}"')
        else:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def _entry(self, name: str) -> dict[str, object]:
        data = FILES[name]
        entry: dict[str, object] = {
            "type": "file",
            "path": name,
            "size": len(data),
            "oid": git_digest(data),
        }
        if name.endswith((".safetensors", ".bin")):
            digest = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
        return entry

    def _send(self, body: str | bytes, **headers: str) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.send_response(200)
        self.send_header("X-Repo-Commit", REVISION)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub() -> Iterator[str]:
    Hub.sent, Hub.served = dict(FILES), []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def fetch(
    folder: Path, endpoint: str, revision: str = REVISION
) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "HF_ENDPOINT": endpoint,
        "HF_HUB_OFFLINE": "0",
        "HF_HOME": str(folder.parent / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "NO_PROXY": "127.0.0.1",
    }
    command = [sys.executable, str(SCRIPT), REPOSITORY, revision, str(folder)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_a_model_is_fetched_whole_and_once(hub: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    done = fetch(folder, hub)
    assert done.returncode == 0, done.stderr
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert (folder / ".revision").read_text().split() == [REPOSITORY, REVISION]
    # nothing but what a worker loads: no pickles
    assert not (folder / "pytorch_model.bin").exists()
    assert not list(tmp_path.glob("*.partial"))
    Hub.served.clear()
    assert fetch(folder, hub).returncode == 0
    assert not Hub.served


def test_a_file_that_was_changed_on_its_way_is_refused(hub: str, tmp_path: Path) -> None:
    weights = FILES["model.safetensors"]
    Hub.sent["model.safetensors"] = weights[:-1] + b"!"
    done = fetch(tmp_path / "model", hub)
    assert done.returncode != 0
    assert "checksum: model.safetensors" in done.stderr
    assert not (tmp_path / "model").exists()
    # and once it arrives right, running again is enough
    Hub.sent["model.safetensors"] = weights
    assert fetch(tmp_path / "model", hub).returncode == 0


@pytest.mark.parametrize("revision", ["main", "A1" * 20])
def test_a_revision_that_may_move_is_refused(revision: str, tmp_path: Path) -> None:
    done = fetch(tmp_path / "model", "http://127.0.0.1:1", revision)
    assert done.returncode == 1
    assert "not a commit of 40 hex digits" in done.stderr


def test_a_volume_that_is_not_mounted_is_named(tmp_path: Path) -> None:
    done = fetch(tmp_path / "absent" / "model", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "mount the model volume" in done.stderr


def test_another_models_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / ".revision").write_text("other/model " + "b2" * 20)
    done = fetch(tmp_path / "model", "http://127.0.0.1:1")
    assert done.returncode == 1
    assert "name another folder" in done.stderr
