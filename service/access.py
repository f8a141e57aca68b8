"""One log line and one count per request: route, method, status, seconds, which ask and trace.

Wraps the whole app. Never looks at a body, and logs no query, header or address of a client.
"""

import time
from collections.abc import MutableMapping
from typing import Any

import structlog
from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics import Metrics
from wire.tracing import trace_id

QUIET = ("/livez", "/readyz", "/health", "/metrics")
UNKNOWN = "unknown"  # One name for all paths that are no route, so that strangers make no series.

log = structlog.get_logger("service.access")


def is_probe(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request only looks after this gateway: neither logged nor traced."""
    return scope.get("path") in QUIET


class Access:
    """ASGI middleware that counts and logs."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, and note what was answered."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        said: dict[str, Any] = {"status": 0, "ask_id": None}
        traced = _trace_of(scope)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                said["status"] = message["status"]
                named = dict(message["headers"]).get(b"x-ask-id")
                said["ask_id"] = named.decode("ascii") if named else None
            await send(message)

        with structlog.contextvars.bound_contextvars(**traced):
            try:
                await self.app(scope, receive, noting)
            finally:
                self._note(scope, said, time.perf_counter() - began)

    def _note(self, scope: Scope, said: dict[str, Any], seconds: float) -> None:
        route = getattr(scope.get("route"), "path", UNKNOWN)
        method = scope["method"] if route != UNKNOWN else UNKNOWN
        self.metrics.requests.labels(route, method, str(said["status"])).inc()
        if not is_probe(scope):
            log.info("request", route=route, method=method, seconds=round(seconds, 4), **said)


def _trace_of(scope: Scope) -> dict[str, str]:
    """The trace id of all lines of a request: our own span's, else the one that the asker sent."""
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        return {"trace_id": format(context.trace_id, "032x")}
    sent = dict(scope["headers"]).get(b"traceparent", b"").decode("latin-1")
    named = trace_id(sent)
    return {"trace_id": named} if named else {}
