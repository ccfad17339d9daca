"""The HTTP endpoint for those who watch: /metrics, /healthz and /readyz. It takes nothing in."""

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import structlog
from prometheus_client import CONTENT_TYPE_LATEST

from eventstore.errors import ConfigurationError, EventStoreError

__all__ = ["Health", "Observations", "ObserverServer"]

log = structlog.get_logger("hookfuse.observer")

_REQUEST_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the process lives, and whether it does its work; `checks` says of each part "ok" or what is wrong."""

    checks: dict[str, str]

    @property
    def is_good(self) -> bool:
        """Whether all checks are good."""
        return all(text == "ok" for text in self.checks.values())


@dataclass(frozen=True, slots=True)
class Observations:
    """What the endpoint asks for, on a thread of its own for each request. Any of them may raise EventStoreError."""

    metrics: Callable[[], bytes]
    liveness: Callable[[], Health]
    readiness: Callable[[], Health]


class ObserverServer:
    """Serves on `host`:`port` until it is closed; port 0 = one that is free. Raises ConfigurationError."""

    def __init__(self, host: str, port: int, observations: Observations) -> None:
        handler = type("Handler", (_Handler,), {"observations": observations})
        server_class = _Server6 if ":" in host else _Server
        try:
            self._server = server_class((host, port), handler)
        except OSError as error:
            raise ConfigurationError(f"[metrics] listen {host}:{port}: {error.strerror or error}") from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="observer", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Log what a client has provoked; it harms nobody else."""
        log.debug("observer_request_failed", done="its connection is closed")


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    observations: Observations
    timeout = _REQUEST_TIMEOUT_S  # of each socket operation: who opens a connection and says nothing holds one thread
    protocol_version = "HTTP/1.1"
    server_version = "hookfuse"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one of three paths."""
        path = self.path.partition("?")[0]
        try:
            if path == "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, self.observations.metrics())
            elif path == "/healthz":
                self._tell(self.observations.liveness())
            elif path == "/readyz":
                self._tell(self.observations.readiness())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /healthz, /readyz\n")
        except EventStoreError as error:
            log.warning("observer_failed", path=path, error=str(error), done="answered 503")
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error}\n".encode())

    do_HEAD = do_GET  # noqa: N815 - as above

    def _tell(self, health: Health) -> None:
        status = HTTPStatus.OK if health.is_good else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(status, "application/json", json.dumps(health.checks).encode() + b"\n")

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: a scrape every few seconds is no news."""
