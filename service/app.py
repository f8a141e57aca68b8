"""Makes the gateway: routes, limits and problems round one desk. Opens nothing until it starts."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI

from service import (
    access,
    ask,
    asks,
    chat,
    estimate,
    explanation,
    health,
    openapi,
    page,
    problem_pages,
    refusals,
    uploads,
)
from service.access import is_probe
from service.desk import opened
from service.metrics import Metrics
from service.settings import Settings

DESCRIPTION = (
    "Questions about several pictures, answered by LLaVA-NeXT with a pruned KV cache. Every ask "
    "chooses its own budget and policy."
)
ROUTERS = (
    ask.router,
    asks.router,
    uploads.router,
    explanation.router,
    estimate.router,
    chat.router,
    health.router,
    problem_pages.router,
    page.router,
)


def create_app(settings: Settings) -> FastAPI:
    """Make the gateway of these settings."""
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with opened(settings, metrics) as desk:
            app.state.desk = desk
            yield

    app = FastAPI(
        title="Myopia",
        description=DESCRIPTION,
        version=_version(),
        lifespan=lifespan,
        redirect_slashes=False,
        # Spans by whatever provider the process has; its logs would quote what was sent.
        telemetry={"auto_configure": False, "logs": False, "metrics": False, "exclude": is_probe},
    )
    app.add_middleware(refusals.DeclaredSize, limit=settings.max_body_bytes)
    app.add_middleware(access.Access, metrics=metrics)
    refusals.install(app)
    for router in ROUTERS:
        # Not the app's own limit: that one answers before our middleware, and in plain text.
        app.include_router(router, max_body_size=settings.max_body_bytes)
    app.webhooks.post("ask-ended", operation_id="ask_ended", tags=["asks"])(openapi.ask_ended)
    _complete_document(app)
    return app


def _complete_document(app: FastAPI) -> None:
    plain = app.openapi

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = openapi.complete(plain())
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _version() -> str:
    try:
        return version("myopia-service")
    except PackageNotFoundError:
        return "0"
