"""The HTTP endpoint for those who watch: /metrics, /healthz and /readyz. It takes nothing in."""

import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import ClassVar, cast

import structlog
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from actors.observability.observer_connections import Connections, Stage
from eventstore.errors import ConfigurationError, EventStoreError

__all__ = ["Health", "Observations", "ObserverServer"]

log = structlog.get_logger("hookfuse.observer")

# Of each socket operation, and of a whole connection: who says nothing, or a byte now and then, holds a thread so long.
_SILENCE_S = 5.0
_DEADLINE_S = 10.0
# Scrapers come one or two at a time; a hundred at once are none.
_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the process lives, and whether it does its work; `checks` says of each part "ok" or what is wrong."""

    checks: dict[str, str]

    @property
    def is_good(self) -> bool:
        """Return whether all checks are good."""
        return all(text == "ok" for text in self.checks.values())


@dataclass(frozen=True, slots=True)
class Observations:
    """What the endpoint asks for, on a thread of its own for each request. Any of them may raise EventStoreError."""

    metrics: Callable[[], bytes]
    liveness: Callable[[], Health]
    readiness: Callable[[], Health]


class ObserverServer:
    """Serves on `host`:`port` until it is closed; port 0 = one that is free. Raises ConfigurationError.

    `deadline_s`: how long a connection may last. With more than `connections` at once the oldest of those that have
    not asked for anything yet goes; only where all are being answered a new one is turned away.
    """

    def __init__(
        self,
        host: str,
        port: int,
        observations: Observations,
        *,
        deadline_s: float = _DEADLINE_S,
        connections: int = _CONNECTIONS,
    ) -> None:
        attributes = {"observations": observations, "deadline_s": deadline_s}
        handler: type[BaseHTTPRequestHandler] = type("Handler", (_Handler,), attributes)
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self._server = _Server(family, address, handler, connections)
        except OSError as error:
            raise ConfigurationError(f"[metrics] listen {host}:{port}: {error.strerror or error}") from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="observer", daemon=True)
        self._thread.start()

    def stands_s(self) -> float:
        """Return for how many seconds its loop has not come round; it does twice a second. On any thread."""
        return time.monotonic() - self._server.round_s

    def close(self) -> None:
        """Stop listening; a request that is under way is left to its thread, and ends with the process."""
        with suppress(OSError):  # wakes the loop at once, which else looks up twice a second
            self._server.socket.shutdown(socket.SHUT_RDWR)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingMixIn, TCPServer):
    """Not HTTPServer, whose start looks the name of its own address up, and so waits for a resolver that is away."""

    allow_reuse_address = True
    daemon_threads = True
    # Those that come in one moment wait to be taken, and are not lost to a full backlog for a second.
    request_queue_size = 128

    def __init__(
        self,
        family: socket.AddressFamily,
        address: object,
        handler: type[BaseHTTPRequestHandler],
        connections: int,
    ) -> None:
        self.address_family = family
        self.connections = Connections(connections)
        self.round_s = time.monotonic()
        super().__init__(address, handler)  # type: ignore[arg-type]  # of IPv6 it has four parts

    def service_actions(self) -> None:
        self.round_s = time.monotonic()

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        assert isinstance(request, socket.socket)  # noqa: S101 - of UDP it is a pair
        if not self.connections.admit(request):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self.connections.forget(request)
            raise

    def process_request_thread(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        assert isinstance(request, socket.socket)  # noqa: S101 - as above
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.connections.forget(request)

    def handle_error(self, _request: object, _client_address: object) -> None:
        """Log what went wrong with a connection; it harms nobody else."""
        error = sys.exception()
        if isinstance(error, OSError):  # the client has gone, or was too slow
            log.debug("observer_connection_lost", error=repr(error), done="closed")
        else:
            log.error("observer_crashed", exc_info=error, done="the connection is closed, the others go on")


class _Handler(BaseHTTPRequestHandler):
    observations: ClassVar[Observations]
    deadline_s: ClassVar[float]
    timeout = _SILENCE_S
    protocol_version = "HTTP/1.1"

    def version_string(self) -> str:
        return "hookfuse"

    def setup(self) -> None:
        super().setup()
        self._deadline = threading.Timer(self.deadline_s, self._cut_off)
        self._deadline.daemon = True
        self._deadline.start()

    def finish(self) -> None:
        self._deadline.cancel()
        super().finish()

    def _cut_off(self) -> None:
        with suppress(OSError):  # it is gone already
            self.connection.shutdown(socket.SHUT_RDWR)

    def parse_request(self) -> bool:
        """Read the headers, as the request's line has come."""
        self._note(Stage.HESITANT)
        return super().parse_request()

    def do_GET(self) -> None:
        """Answer one of three paths."""
        self._note(Stage.ANSWERED)
        path = self.path.partition("?")[0]
        try:
            if path == "/metrics":
                self._answer(HTTPStatus.OK, CONTENT_TYPE_PLAIN_0_0_4, self.observations.metrics())
            elif path == "/healthz":
                self._tell(self.observations.liveness())
            elif path == "/readyz":
                self._tell(self.observations.readiness())
            else:
                self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"/metrics, /healthz, /readyz\n")
        except EventStoreError as error:
            log.warning("observer_failed", path=path, error=str(error), done="answered 503")
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error}\n".encode())

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def _tell(self, health: Health) -> None:
        status = HTTPStatus.OK if health.is_good else HTTPStatus.SERVICE_UNAVAILABLE
        self._answer(status, "application/json", json.dumps(health.checks).encode() + b"\n")

    def _note(self, stage: Stage) -> None:
        cast("_Server", self.server).connections.note(self.connection, stage)

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self._note(Stage.HESITANT)  # until it has read the answer
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        # One request a connection: a scraper comes every few seconds, and one that is kept would hold a thread.
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: a scrape every few seconds is not news."""
