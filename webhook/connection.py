"""urllib3's connections and pools, made to dial through the guard and to read only final answers."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final

from urllib3.connection import HTTPConnection, HTTPSConnection, _ResponseOptions
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from webhook.deadline_socket import DeadlineExceeded, current_exchange
from webhook.headers import head_lines

if TYPE_CHECKING:
    from urllib3._base_connection import BaseHTTPConnection

    from webhook.dialer import Dialer

# curl, browsers and proxies see one or two; a flood costs us CPU while each 1xx renews the reader's patience.
INTERIM_ANSWERS: Final = 100


class FinalResponse(http.client.HTTPResponse):
    """An answer that is never 1xx: http.client itself skips only 100 and would take 103 for the final one."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(INTERIM_ANSWERS):
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not 100 <= status < 200:
                return version, status, reason
            if status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                raise http.client.HTTPException("the answer switches protocols, which nobody asked for")
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException(f"more than {INTERIM_ANSWERS} interim answers")


class _GuardedConnection(HTTPConnection):
    """What both schemes share: the dialer, one send for head and body, and errors that say when they came."""

    response_class = FinalResponse

    def __init__(self, *args: Any, dialer: Dialer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._dialer = dialer
        self._outgoing: list[bytes] | None = None

    def connect(self) -> None:
        exchange = current_exchange()
        exchange.start_dialing()
        try:
            super().connect()
        except (DeadlineExceeded, ssl.SSLError):
            raise
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError("no connection within the connect time") from error
        except OSError as error:
            raise NewConnectionError(self, "can't connect") from error

    def _new_conn(self) -> socket.socket:
        return self._dialer.dial(self._dns_host, self.port)

    def request(self, method: str, url: str, body: Any = None, headers: Any = None, **options: Any) -> None:
        """Send head and body at once, with exactly these headers.

        http.client would check and encode each by itself, and send head and body apart: two packets, for which the
        receiver wakes up twice.
        """
        if self.sock is not None:
            self.sock.settimeout(self.timeout)
        options.pop("chunked", None)  # the length is among the headers
        self._response_options = _ResponseOptions(request_method=method, request_url=url, **options)
        self.putrequest(method, url, skip_host=True, skip_accept_encoding=True)
        self._buffer.append(head_lines(headers))  # type: ignore[attr-defined] # of http.client, which typeshed hides
        self._outgoing = []
        try:
            self.endheaders(body)
            whole = b"".join(self._outgoing)
        finally:
            self._outgoing = None
        self.send(whole)

    def send(self, data: Any) -> None:
        if self._outgoing is None:
            super().send(data)
        else:
            self._outgoing.append(data)


class _GuardedTlsConnection(_GuardedConnection, HTTPSConnection):
    """The same over TLS; the certificate is checked against the host's name, not against the address."""


class _KeepingPool(HTTPConnectionPool):
    ConnectionCls = _GuardedConnection

    def _get_conn(self, timeout: float | None = None) -> BaseHTTPConnection:
        connection = super()._get_conn(timeout)
        if current_exchange().must_dial:
            connection.close()  # it opens anew by itself
        return connection

    def _put_conn(self, conn: BaseHTTPConnection | None) -> None:
        # More threads than kept connections is nothing to warn of, as urllib3 does on each return.
        if conn is not None and self.pool is not None and self.pool.full():
            conn.close()
            return
        super()._put_conn(conn)


class _KeepingTlsPool(_KeepingPool, HTTPSConnectionPool):
    ConnectionCls = _GuardedTlsConnection


POOL_CLASSES: Final[dict[str, type[HTTPConnectionPool]]] = {"http": _KeepingPool, "https": _KeepingTlsPool}
