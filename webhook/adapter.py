"""An adapter for requests: guarded connections, a total deadline, a strict reader, and nothing from the environment."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.exceptions import InvalidHeader, RequestException
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from eventstore.common.shortage import LOOKUPS, lack_of
from webhook.answer_reader import AnswerReader
from webhook.answer_stream import AnswerStream
from webhook.connection import Connection, connect
from webhook.connection_pool import PoolKey
from webhook.deadline_socket import Exchange, carried_exchange, carrying
from webhook.exception_table import as_requests
from webhook.fault import AnswerFault, Fault
from webhook.headers import head_lines
from webhook.timeouts import Timeouts

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from webhook.answer import AnswerHead
    from webhook.connection_pool import ConnectionPool
    from webhook.dialer import Dialer
    from webhook.target import Target
    from webhook.tls import ClientFiles, TlsContexts

_METHOD: Final = re.compile(r"[A-Z]{1,20}")

# Of a kept connection before a byte of an answer: the peer closed it just as we used it.
_WENT_STALE: Final = (Fault.NO_ANSWER, Fault.RESET)


class TargetedRequest(PreparedRequest):
    """A prepared request whose target was checked, and that was made ready by us: to prepare it costs as much again.

    `app`: whose connections it may use; `client`: the files of the certificate with which they are made.
    """

    def __init__(
        self, target: Target, headers: Mapping[str, str], body: bytes, app: str, client: ClientFiles | None = None
    ) -> None:
        super().__init__()
        self.method = "POST"
        self.url = f"{target.scheme}://{target.host_header}{target.path_url}"
        self.headers = cast(
            "CaseInsensitiveDict[str | bytes]", headers
        )  # any mapping does, names differ by more than case
        self.body = body
        self.target = target
        self.app = app
        self.client = client


class GuardedAdapter(BaseAdapter):
    """Sends what requests has prepared, over connections that the guard has passed.

    Proxies, `verify` and `cert` of the call are ignored, no cookie is read or kept. Where a kept connection was closed
    just as it was used, the request is sent once more, on a new one. The body of a request is bytes or text; that of an
    answer is not decoded. `body_limit_bytes`: so much of an answer's body is read, None = all, and `kept_headers`
    are those that are kept of it, as the reader has it.
    """

    def __init__(
        self,
        dialer: Dialer,
        check_url: Callable[[str], Target],
        tls_contexts: TlsContexts,
        pool: ConnectionPool,
        *,
        body_limit_bytes: int | None = None,
        kept_headers: frozenset[bytes] | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        super().__init__()
        self._dialer = dialer
        self._check_url = check_url
        self._tls_contexts = tls_contexts
        self._pool = pool
        self._body_limit_bytes = body_limit_bytes
        self._kept_headers = kept_headers
        self._timeouts = timeouts or Timeouts()

    def send(  # noqa: PLR0917 - as requests calls it
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002 - the body is always read by whoever has the response
        timeout: Any = None,
        verify: Any = True,  # noqa: ARG002
        cert: Any = None,  # noqa: ARG002
        proxies: Any = None,  # noqa: ARG002
    ) -> Response:
        """Return the final answer, its body still to be read; raise one of requests' exceptions.

        `timeout` is that of requests: seconds to connect and between two pieces, None = the adapter's own. The total
        time is the adapter's, and counts until the body is read. An exception has a `response` where a status was read.
        """
        exchange = carried_exchange() or Exchange.starting_now(self._timeouts.with_requests(timeout))
        with carrying(exchange):
            reader = AnswerReader(
                self._body_limit_bytes, is_head_only=request.method == "HEAD", kept_headers=self._kept_headers
            )
            try:
                return self._answered(request, reader, exchange)
            except RequestException:
                raise
            except Exception as error:
                meant = as_requests(error, request, _partial_response(request, reader))
                if meant is None:
                    raise
                raise meant from error

    def close(self) -> None:
        """Close the kept connections; a request on its way ends first and its connection is not kept."""
        self._pool.close()

    def _answered(self, request: PreparedRequest, reader: AnswerReader, exchange: Exchange) -> Response:
        target = request.target if isinstance(request, TargetedRequest) else self._check_url(str(request.url))
        key = PoolKey(target.scheme, target.host, target.port, getattr(request, "app", ""))
        message = request_bytes(request, target)
        kept = self._pool.take(key)
        if kept is not None:
            try:
                return self._exchange(request, message, kept, key, reader=reader, exchange=exchange)
            except AnswerFault as error:
                # No fault of the endpoint, and at least once holds, as the delivery id is the same. Only once, on a new
                # connection, or it could go on.
                if exchange.received_bytes or error.fault not in _WENT_STALE:
                    raise
        connection = self._connected(target, self._tls_contexts.of(getattr(request, "client", None)))
        self._pool.start_age(connection)
        return self._exchange(request, message, connection, key, reader=reader, exchange=exchange)

    def _connected(self, target: Target, tls_context: ssl.SSLContext) -> Connection:
        try:
            return connect(self._dialer, target, tls_context)
        except Exception as error:
            lack = lack_of(error)
            if lack is None or lack is LOOKUPS or not lack.is_of_machine:
                raise
        # What is kept for later requests can be given up for this one. Once: it is postponed then.
        self._pool.clear()
        return connect(self._dialer, target, tls_context)

    def _exchange(
        self,
        request: PreparedRequest,
        message: bytes,
        connection: Connection,
        key: PoolKey,
        *,
        reader: AnswerReader,
        exchange: Exchange,
    ) -> Response:
        try:
            connection.send(message)
            while not reader.is_head_complete:
                connection.receive(reader)
        except BaseException:
            connection.close()
            raise
        head = reader.head()
        assert head is not None  # noqa: S101 - it is complete
        response = _response(request, head)
        response.raw = AnswerStream(response, reader, connection, exchange, partial(self._done, key))
        return response

    def _done(self, key: PoolKey, connection: Connection, may_be_kept: bool) -> None:
        if may_be_kept and not connection.is_spent:
            self._pool.put(key, connection)
        else:
            connection.close()


def request_bytes(request: PreparedRequest, target: Target) -> bytes:
    """Return the whole request, written once: the path and query as they were checked, the headers as they are.

    Head and body go out at once: two packets would have the receiver wake up twice.
    """
    method = request.method or ""
    if not _METHOD.fullmatch(method):
        raise InvalidHeader("the request's method is none", request=request)
    headers = cast("Mapping[str, str]", request.headers)
    if not isinstance(request, TargetedRequest):
        headers = {"Host": target.host_header} | {name: _text(value) for name, value in headers.items()}
    body = request.body or b""
    if isinstance(body, str):
        body = body.encode()
    if not isinstance(body, bytes):
        raise InvalidHeader("the body of a request is bytes or text, so that its length is known", request=request)
    return b"%b %b HTTP/1.1\r\n%b\r\n\r\n%b" % (
        method.encode(),
        target.path_url.encode("ascii"),
        head_lines(headers),
        body,
    )


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _response(request: PreparedRequest, head: AnswerHead) -> Response:
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict(head.headers)
    if len(headers) < len(head.headers):
        headers.clear()
        for name, value in head.headers:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    response = Response()
    response.status_code = head.status_code
    response.reason = head.reason
    response.headers = headers
    response.encoding = get_encoding_from_headers(headers)
    response.url = request.url or ""
    response.request = request
    return response


def _partial_response(request: PreparedRequest, reader: AnswerReader) -> Response | None:
    """Return what is known of an answer that broke off: its status, if that was read, and what came of its body."""
    head = reader.head()
    if head is None:
        return None
    response = _response(request, head)
    response._content = reader.take_body()  # noqa: SLF001 - as tests of requests make one; `content` has no setter
    return response
