"""The real app under a real uvicorn in a thread, on a free port."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.app import create_app
from service.settings import Settings
from tests.redis_server import free_port


@contextmanager
def listening(settings: Settings) -> Iterator[str]:
    """The base URL of a gateway with these settings."""
    port = free_port()
    config = uvicorn.Config(
        create_app(settings), port=port, log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    assert server.started
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)
