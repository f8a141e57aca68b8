"""One ask through two processes is one tree of spans, sent by OTLP to a collector; logs name it."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

pytest.importorskip("opentelemetry.sdk")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.redis_server import emptied, free_port, redis_server, running_server, wire_settings
from tests.service.test_ask import body
from tests.worker.processes import ROOT, WorkerProcess, wait_for
from wire.settings import WireSettings

__all__ = ["redis_server", "wire_settings"]
OWN = "0af7651916cd43dd8448eb211c80319c"


@dataclass
class Span:
    service: str
    name: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    said: dict[str, str]


@dataclass
class Collector:
    """An OTLP receiver over HTTP."""

    spans: list[Span] = field(default_factory=list)
    url: str = ""

    def take(self, data: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(data)
        for resource in request.resource_spans:
            named = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Span(
                        named["service.name"],
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                        {a.key: str(a.value) for a in span.attributes},
                    )
                    for span in scope.spans
                ]

    def named(self, name: str, trace: str) -> Span:
        (found,) = [span for span in self.spans if (span.name, span.trace) == (name, trace)]
        return found


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    server.shutdown()


@dataclass
class Pair:
    """A gateway and a worker, with what they logged."""

    http: httpx.Client
    gateway_log: Path
    worker: WorkerProcess

    def logged(self, path: Path, **fields: object) -> bool:
        lines = [json.loads(line) for line in path.read_text().splitlines() if line[:1] == "{"]
        return any(fields.items() <= line.items() for line in lines)


def pair(wire: WireSettings, folder: Path, **tracing: str) -> Iterator[Pair]:
    worker = WorkerProcess(wire, folder, FAKE_STEP_MS=10, **tracing).start()
    port, log = free_port(), folder / "gateway.log"
    told = {"MYOPIA_REDIS_URL": wire.durable_url, "MYOPIA_PORT": str(port), **tracing}
    with log.open("wb") as out:
        gateway = subprocess.Popen(
            [sys.executable, "-m", "service"],
            cwd=ROOT, env={**os.environ, **told}, stdout=out, stderr=out,
        )  # fmt: skip
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as http:

        def is_ready() -> bool:
            assert gateway.poll() is None, log.read_text()[-2000:]
            try:
                return http.get("/readyz").status_code == 200
            except httpx.HTTPError:
                return False

        wait_for(is_ready, 60, "the gateway")
        yield Pair(http, log, worker)
    gateway.terminate()
    gateway.wait(20)
    worker.kill()


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("traced")
    # A Redis of its own: this worker lives on while others are tested, and would take their asks.
    with running_server(folder) as server:
        yield from pair(
            emptied(server),
            folder,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="100",
        )


@pytest.fixture
def untraced(wire_settings: WireSettings, tmp_path: Path) -> Iterator[Pair]:
    yield from pair(wire_settings, tmp_path)


def test_one_ask_is_one_tree(traced: Pair, collector: Collector) -> None:
    sent = body(question="steps=20")
    header = {"traceparent": f"00-{OWN}-b7ad6b7169203331-01"}
    reply = traced.http.post("/v1/ask", json=sent, headers=header)
    assert reply.status_code == 200, reply.text
    ask_id = reply.headers["x-ask-id"]
    names = {"POST /v1/ask", "queue", "work", "prefill", "decode"}
    wait_for(lambda: names <= {s.name for s in collector.spans if s.trace == OWN}, 20, "spans")
    spans = {span.id: span for span in collector.spans if span.trace == OWN}
    door = collector.named("POST /v1/ask", OWN)
    assert (door.service, door.parent) == ("myopia-gateway", "b7ad6b7169203331")

    def above(span: Span) -> list[str]:
        """Names of the spans over this one, up to the asker's own."""
        over = spans.get(span.parent)
        return [over.name, *above(over)] if over else []

    work, queue = collector.named("work", OWN), collector.named("queue", OWN)
    assert work.service == queue.service == "myopia-worker"
    assert work.parent == queue.parent
    assert above(work)[-1] == "POST /v1/ask"
    assert ask_id in work.said["ask_id"]
    prefill, decode = collector.named("prefill", OWN), collector.named("decode", OWN)
    for span in (prefill, decode):
        assert span.parent == work.id
        assert above(span)[-1] == "POST /v1/ask"
    # In time as in the tree: through the door, in the queue, in the worker, in the engine.
    assert door.began < queue.began <= queue.ended <= work.began <= prefill.began
    assert prefill.ended == decode.began
    assert decode.ended <= work.ended
    assert decode.ended - decode.began > 0.1e9
    log = traced.gateway_log
    wait_for(lambda: traced.logged(log, ask_id=ask_id, trace_id=OWN, status=200), 5, "gateway")
    assert traced.logged(
        traced.worker.log, ask_id=ask_id, trace_id=OWN, event="ask ended", state="done"
    )


def test_a_trace_begins_at_the_door_where_the_asker_has_none(
    traced: Pair, collector: Collector
) -> None:
    before = {span.trace for span in collector.spans}
    reply = traced.http.post("/v1/ask", json=body(question="refuse"))
    assert reply.status_code == 422

    def mine() -> list[Span]:
        return [s for s in collector.spans if s.trace not in before and s.name == "work"]

    wait_for(mine, 20, "the worker's span")
    (work,) = mine()
    assert collector.named("queue", work.trace)
    assert "bad_request" in work.said["error.type"]
    wait_for(
        lambda: any(s.name == "POST /v1/ask" for s in collector.spans if s.trace == work.trace)
    )
    assert not [s for s in collector.spans if "readyz" in s.name], "probes make no spans"


def test_without_tracing_logs_still_name_the_askers_trace(untraced: Pair) -> None:
    header = {"traceparent": f"00-{OWN}-b7ad6b7169203331-01"}
    reply = untraced.http.post("/v1/ask", json=body(question="steps=2"), headers=header)
    assert reply.status_code == 200
    ask_id = reply.headers["x-ask-id"]
    wait_for(lambda: untraced.logged(untraced.gateway_log, ask_id=ask_id, trace_id=OWN), 5)
    wait_for(lambda: untraced.logged(untraced.worker.log, ask_id=ask_id, trace_id=OWN), 5)
