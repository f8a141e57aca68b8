"""The real app under a real uvicorn in a thread, on a free port."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.app import create_app
from service.settings import Settings
from tests.redis_server import free_port

STOP_SECONDS = 10
LOOPS: list[asyncio.AbstractEventLoop] = []
"""The loops of gateways in this process, the newest last."""


@contextmanager
def listening(settings: Settings) -> Iterator[str]:
    """The base URL of a gateway with these settings; it must stop in time."""
    port = free_port()
    config = uvicorn.Config(
        create_app(settings), port=port, log_level="error", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)

    async def serve() -> None:
        LOOPS.append(asyncio.get_running_loop())
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    assert server.started
    loop = LOOPS[-1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(STOP_SECONDS)
    if thread.is_alive():
        tasks = asyncio.all_tasks(loop)
        where = "\n".join(f"{task.get_name()}: {task.get_stack()} {task}" for task in tasks)
        raise AssertionError(f"the gateway did not stop:\n{where}")
