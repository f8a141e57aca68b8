"""`python -m launch`: gateway, worker, embedded Redis and the pocket model, until Ctrl-C."""

import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from launch.redis import RedisMissing, prepare
from launch.supervisor import Child, Supervisor

ROOT = Path(__file__).parents[1]
READY_SECONDS = 120.0
POLL_SECONDS = 0.25
REDIS_GRACE_SECONDS = 10.0
GATEWAY_GRACE_SECONDS = 10.0
# One thread unless told otherwise: on a machine with other work, 64 asks of the small model took
# 10 s with one thread and more than a minute with two (docs/log/engine.md).
WORKER_ENVIRONMENT = {"OMP_NUM_THREADS": "1"}
WORKER_GRACE_SECONDS = 40.0

CURL = """
Myopia answers at {address}   (docs: {address}/docs)

  curl -s {address}/v1/ask \\
    -F images=@examples/1.png -F images=@examples/2.png -F images=@examples/3.png \\
    -F 'question=Which image shows a red circle?'

Ctrl-C stops everything.
"""


def port_is_taken(host: str, port: int) -> bool:
    """Whether something already listens there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def is_ready(address: str) -> bool:
    """Whether the gateway says that an ask would be taken up."""
    try:
        with urllib.request.urlopen(f"{address}/readyz", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def start_all(supervisor: Supervisor, environment: dict[str, str]) -> None:
    """Start Redis unless one is named, then the worker and the gateway."""
    if "MYOPIA_REDIS_URL" not in environment:
        folder = Path(environment.get("MYOPIA_RUN_FOLDER", ROOT / ".run"))
        server = prepare(folder / "redis")
        environment["MYOPIA_REDIS_URL"] = server.url
        supervisor.start(Child("redis", server.command(), environment, REDIS_GRACE_SECONDS))
    for room, grace_seconds in (
        ("worker", WORKER_GRACE_SECONDS),
        ("service", GATEWAY_GRACE_SECONDS),
    ):
        command = [sys.executable, "-m", room]
        defaults = WORKER_ENVIRONMENT if room == "worker" else {}
        supervisor.start(Child(room, command, {**defaults, **environment}, grace_seconds))


def run(supervisor: Supervisor, address: str) -> int:
    """Watch over the children until a signal; say once how to ask."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    said, give_up_at = False, time.monotonic() + READY_SECONDS
    while not stopping:
        supervisor.check()
        if not said and is_ready(address):
            print(CURL.format(address=address), flush=True)
            said = True
        if not said and time.monotonic() > give_up_at:
            print(f"not ready after {READY_SECONDS:.0f} s: see the messages above", flush=True)
            return 1
        time.sleep(POLL_SECONDS)
    return 0


def main() -> int:
    """Start, watch, and leave nothing running behind."""
    environment = dict(os.environ)
    host = environment.setdefault("MYOPIA_HOST", "127.0.0.1")
    port = environment.setdefault("MYOPIA_PORT", "8000")
    shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - a comparison
    if port_is_taken(shown, int(port)):
        print(f"port {port} is taken: choose another, MYOPIA_PORT=8001 make serve")
        return 2
    os.chdir(ROOT)
    supervisor = Supervisor()
    try:
        start_all(supervisor, environment)
        return run(supervisor, f"http://{shown}:{port}")
    except RedisMissing as missing:
        print(missing)
        return 2
    finally:
        supervisor.stop()


if __name__ == "__main__":
    sys.exit(main())
