"""What the gateway's tests share: a real Redis, the real app over HTTP, a scripted worker."""

import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from pydantic import SecretStr

from service.settings import Settings
from tests.redis_server import RedisServer, redis_server, running_server
from tests.service.gateway import listening
from tests.service.responder import Responder, responding

__all__ = ["redis_server"]


def settings_for(server: RedisServer, **fields: object) -> Settings:
    chosen = {"lease_seconds": 1.0, "reap_interval_seconds": 0.2, "fleet_fresh_seconds": 0}
    chosen["resume_grace_seconds"] = 1.5
    return Settings.model_validate({"redis_url": SecretStr(server.url), **chosen, **fields})


@pytest.fixture(scope="session", autouse=True)
def logs() -> None:
    # structlog's default for errors prints every local variable, which takes seconds.
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )


@pytest.fixture(scope="session")
def settings(redis_server: RedisServer) -> Settings:
    return settings_for(redis_server, max_images=8, max_body_bytes=3_000_000)


@pytest.fixture(scope="session")
def base_url(settings: Settings) -> Iterator[str]:
    with listening(settings) as url:
        yield url


@pytest.fixture(scope="session")
def client(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=15) as client:
        yield client


@pytest.fixture
def http(client: httpx.Client, redis_server: RedisServer) -> httpx.Client:
    """A client of a gateway whose Redis was just emptied."""
    redis_server.wipe()
    return client


@pytest.fixture
def responder(http: httpx.Client, settings: Settings) -> Iterator[Responder]:
    with responding(settings) as running:
        yield running


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, to be stopped and killed."""
    with running_server(tmp_path) as server:
        yield server
