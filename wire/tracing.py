"""Traces across the processes: how one is switched on, and the W3C header that an ask carries.

On where `OTEL_EXPORTER_OTLP_ENDPOINT` says where to send them and the SDK is installed (the extra
`tracing`). Otherwise nothing is made, kept or sent. What is traced is not known here.
"""

import os
import re
from importlib.util import find_spec

import structlog

TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

log = structlog.get_logger()


def trace_id(traceparent: str | None) -> str | None:
    """The trace that a header names, as 32 hex digits; None for no or an odd header."""
    found = TRACEPARENT.fullmatch(traceparent or "")
    return found[1] if found else None


def is_wanted() -> bool:
    """Whether this process' environment says where traces go."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return any(os.environ.get(name) for name in ENDPOINTS)


def start(service: str) -> bool:
    """Send this process' spans where the environment says, under this name unless it has one.

    False: not wanted, or the SDK is missing (which is logged).
    """
    if not is_wanted():
        return False
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        log.warning("no traces: install the extra `tracing`", wanted=ENDPOINTS[0])
        return False
    from opentelemetry import trace  # noqa: PLC0415  only where it is wanted
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    named = os.environ.get("OTEL_SERVICE_NAME") or service
    provider = TracerProvider(resource=Resource.create({"service.name": named}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return True
