"""POST over connections that are checked, kept alive and bound to a deadline: an adapter for requests."""

from __future__ import annotations

import logging
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Full
from typing import TYPE_CHECKING, Any, Final

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.util import Retry

from eventstore.shortage import lack_of
from webhook.connection import POOL_CLASSES
from webhook.deadline_socket import DeadlineTlsSocket, Exchange, carrying
from webhook.exception_table import is_reset

if TYPE_CHECKING:
    from collections.abc import Mapping

    from urllib3.connectionpool import HTTPConnectionPool

    from webhook.dialer import Dialer
    from webhook.headers import Headers
    from webhook.target import Target

POOL_COUNT: Final = 1000
# Many apps of one host share its pool: what is over this is dialed anew for each request.
POOL_CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: connect_s for name, TCP and TLS together, read_s for silence, total_s for everything."""

    connect_s: float = 5.0
    read_s: float = 5.0
    total_s: float = 10.0

    def __post_init__(self) -> None:
        if not all(0 < limit_s < float("inf") for limit_s in (self.connect_s, self.read_s, self.total_s)):
            raise ValueError("time-outs are finite seconds, more than zero")


@dataclass(frozen=True, slots=True)
class Answer:
    """A final answer: its body up to the cap, and in `broken_by` what kept us from reading on.

    `after_ms`: how long the endpoint took to begin it.
    """

    status_code: int
    headers: Mapping[str, str]
    body: bytes
    after_ms: float | None = None
    broken_by: Exception | None = field(default=None)


class _TargetedRequest(PreparedRequest):
    """A prepared request that was made ready by us: preparing it once more would cost a third of the time."""

    def __init__(self, target: Target, headers: Headers, body: bytes) -> None:
        super().__init__()
        self.method = "POST"
        self.url = f"{target.scheme}://{target.host_header}{target.path_url}"
        self.headers = dict(headers)  # type: ignore[assignment] # any mapping does, names differ by more than case
        self.body = body
        self.target = target


class GuardedAdapter(HTTPAdapter):
    """The adapter: guarded connections, one TLS context, and nothing from the environment.

    Proxies, `verify` and `cert` of the call are ignored, no cookie is read or kept, no request is sent twice.
    """

    def __init__(self, dialer: Dialer, ca_file: str | None, pool_count: int, pool_connections: int) -> None:
        self._dialer = dialer
        self._tls_context = _tls_context(ca_file)
        self._kept_connections = pool_connections
        super().__init__(pool_connections=pool_count, pool_maxsize=pool_connections)
        self.max_retries = Retry(total=False)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools, with connections of ours in them."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOL_CLASSES

    def get_connection_with_tls_context(self, request: PreparedRequest, *_: Any, **__: Any) -> HTTPConnectionPool:
        """Return the target's pool, under a key of three parts; urllib3's own has thirty."""
        assert isinstance(request, _TargetedRequest)  # noqa: S101 - this adapter is never mounted on a session
        target = request.target
        key: Any = (target.scheme, target.host, target.port)
        pool: HTTPConnectionPool | None = self.poolmanager.pools.get(key)
        if pool is not None:
            return pool
        context = {
            "scheme": target.scheme,
            "host": target.host,
            "port": target.port,
            "maxsize": self._kept_connections,
            "dialer": self._dialer,
            "ssl_context": self._tls_context,
        }
        made: HTTPConnectionPool = self.poolmanager.connection_from_pool_key(key, context)
        return made

    def cert_verify(self, *_: Any, **__: Any) -> None:
        """Do nothing: the TLS context verifies, and no environment variable changes that."""

    def request_url(self, request: PreparedRequest, *_: Any, **__: Any) -> str:
        """Return the path and query that were checked."""
        assert isinstance(request, _TargetedRequest)  # noqa: S101
        return request.target.path_url

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Return the answer, without the cookies that it may hold."""
        response = Response()
        response.status_code = resp.status
        response.headers = CaseInsensitiveDict(resp.headers)
        response.raw = resp
        response.request = req
        return response

    def drop_idle(self) -> None:
        """Close the connections that are kept and idle; those of requests on their way go on."""
        for key in self.poolmanager.pools.keys():  # noqa: SIM118 - as below
            pool = self.poolmanager.pools.get(key)
            idle = pool.pool if pool is not None else None
            if idle is None:
                continue
            for _ in range(idle.qsize()):
                with suppress(Empty, Full):
                    connection = idle.get_nowait()
                    if connection is not None:
                        connection.close()
                    idle.put_nowait(None)

    def close(self) -> None:
        """Close the kept connections; a request on its way ends first and its connection is not kept."""
        pools = self.poolmanager.pools
        for key in pools.keys():  # noqa: SIM118 - urllib3's container refuses to be iterated
            pool = pools.get(key)
            if pool is not None:
                pool.close()
        super().close()


class Transport:
    """Carries one POST at a time for each calling thread; shared by all of them."""

    def __init__(
        self,
        dialer: Dialer,
        *,
        ca_file: str | None = None,
        pool_count: int = POOL_COUNT,
        pool_connections: int = POOL_CONNECTIONS,
    ) -> None:
        self._adapter = GuardedAdapter(dialer, ca_file, pool_count, pool_connections)
        # urllib3 writes the path of the URL into its warnings and debug lines, and paths hold tokens.
        for name in ("urllib3.connection", "urllib3.connectionpool"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def post(self, target: Target, headers: Headers, body: bytes, timeouts: Timeouts, body_cap_bytes: int) -> Answer:
        """Return the final answer, or raise what the error table knows; over at `total_s` in any case."""
        exchange = Exchange(time.monotonic() + timeouts.total_s, timeouts.connect_s, timeouts.read_s)
        request = _TargetedRequest(target, headers, body)
        limits_s = (
            timeouts.connect_s,
            timeouts.read_s,
        )  # the sockets go by the exchange; these are never reached
        with carrying(exchange):
            try:
                response = self._adapter.send(request, stream=True, timeout=limits_s)
            except Exception as error:
                if lack_of(error) is not None and not exchange.sent_at_s:
                    # What is kept for later requests can be given up for this one. Once: it is postponed then.
                    self._adapter.drop_idle()
                    exchange.must_dial = True
                    return _read(self._adapter.send(request, stream=True, timeout=limits_s), body_cap_bytes, exchange)
                # The peer closed a kept connection just as we used it: no fault of the endpoint, and at least
                # once holds since the delivery id is the same. Only once, on a new connection, or it could go on.
                if exchange.has_dialed or exchange.received_bytes or not is_reset(error):
                    raise
                exchange.must_dial = True
                response = self._adapter.send(request, stream=True, timeout=limits_s)
            return _read(response, body_cap_bytes, exchange)

    def close(self) -> None:
        """Close the kept connections."""
        self._adapter.close()


def _read(response: Response, cap_bytes: int, exchange: Exchange) -> Answer:
    raw = response.raw
    pieces: list[bytes] = []
    left_bytes = cap_bytes
    broken_by: Exception | None = None
    try:
        while left_bytes > 0 and (piece := raw.read(left_bytes)):
            pieces.append(piece)
            left_bytes -= len(piece)
        has_ended = left_bytes > 0 or not raw.read(1)
    except Exception as error:  # noqa: BLE001 - the status is known by now and says more than the error alone
        broken_by, has_ended = error, False
    if not has_ended:
        # Closed before it is released: urllib3 would read the rest otherwise, or hand it to the next request.
        raw.close()
    raw.release_conn()
    return Answer(response.status_code, response.headers, b"".join(pieces), exchange.answered_after_ms, broken_by)


def _tls_context(ca_file: str | None) -> ssl.SSLContext:
    # Made by hand: create_default_context obeys SSLKEYLOGFILE, which writes down the keys.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(ca_file or DEFAULT_CA_BUNDLE_PATH)
    context.sslsocket_class = DeadlineTlsSocket
    return context
