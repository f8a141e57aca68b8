"""The worker's own HTTP port for probes: /livez, /readyz and /metrics, from the standard library.

Probes must not go through Celery (an `inspect ping` costs most of a second of CPU). Nothing
here changes anything.
"""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

Check = Callable[[], bool]
PLAIN = "text/plain; charset=utf-8"


class HealthPort:
    """A server in a thread; port 0 takes any free one."""

    def __init__(
        self, host: str, port: int, *, live: Check, ready: Check, registry: CollectorRegistry
    ) -> None:
        checks = {"/livez": live, "/readyz": ready}

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                check = checks.get(self.path)
                if check is not None:
                    well = check()
                    self._say(200 if well else 503, PLAIN, b"ok\n" if well else b"no\n")
                elif self.path == "/metrics":
                    self._say(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                else:
                    self._say(404, PLAIN, b"/livez /readyz /metrics\n")

            def _say(self, status: int, content_type: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
                """Probes come every few seconds: not a word."""

        self._server = ThreadingHTTPServer((host, port), Answer)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="health", daemon=True
        )

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and free the port."""
        self._server.shutdown()
        self._server.server_close()
