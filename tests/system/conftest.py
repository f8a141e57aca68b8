"""What tests of the page share: a Chromium, and the page on a scripted gateway.

What a real stack reaches only by luck is set by the script in a line. Tests on a real stack replace
`tab` by a page of theirs, and share the stack: starting one takes seconds of processor time.
"""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from launch.redis import free_port
from tests.system.browsing import Tab, chromium, pictures, visit, window
from tests.system.fake_gateway import Script, fake
from tests.system.serving import Served, serving


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """What `make serve` starts. Who stops a part of it has it run again before the test ends."""
    with serving(tmp_path_factory.mktemp("served")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def gateway() -> Iterator[tuple[str, Script]]:
    script, port = Script(), free_port()
    server = uvicorn.Server(uvicorn.Config(fake(script), port=port, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}", script
    server.should_exit = True


@pytest.fixture
def script(gateway: tuple[str, Script]) -> Script:
    fresh = Script()
    gateway[1].__dict__.update(fresh.__dict__)
    return gateway[1]


@pytest.fixture(scope="module")
def empty(browser: Any) -> Iterator[Any]:
    with window(browser) as page:
        yield page


@pytest.fixture
def tab(empty: Any, gateway: tuple[str, Script], script: Script) -> Iterator[Tab]:
    with visit(empty, gateway[0]) as found:
        yield found


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return pictures(tmp_path, 4)
