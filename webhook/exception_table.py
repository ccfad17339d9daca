"""What an exception on the way of a request means, and which of requests' own it becomes: one table."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple

import requests.exceptions as of_requests

from eventstore.common.shortage import lack_of
from webhook.deadline_socket import DeadlineExceeded
from webhook.errors import AddressBlocked, ConnectFailed, ConnectTimedOut, HeaderRefusedError, WebhookError
from webhook.fault import AnswerFault, BodyFault
from webhook.outcome import DETAIL_CHARACTERS, ErrorClass

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests import PreparedRequest, Response


class _Row(NamedTuple):
    raised: type[BaseException]
    becomes: type[of_requests.RequestException]
    error_class: ErrorClass


# The first row that holds any link of an exception's chain decides. The order is what makes it right: the deadline
# before other time-outs, what is known by name (a broken answer, DNS, TLS, connecting) before the system's own errors.
ERRORS: Final[tuple[_Row, ...]] = (
    _Row(AddressBlocked, of_requests.InvalidURL, ErrorClass.BLOCKED),
    _Row(HeaderRefusedError, of_requests.InvalidHeader, ErrorClass.BLOCKED),
    _Row(DeadlineExceeded, of_requests.Timeout, ErrorClass.DEADLINE),
    _Row(BodyFault, of_requests.ChunkedEncodingError, ErrorClass.PROTOCOL),
    _Row(AnswerFault, of_requests.ConnectionError, ErrorClass.PROTOCOL),
    _Row(socket.gaierror, of_requests.ConnectionError, ErrorClass.DNS),
    _Row(ConnectTimedOut, of_requests.ConnectTimeout, ErrorClass.CONNECT_TIMEOUT),
    _Row(ssl.SSLError, of_requests.SSLError, ErrorClass.TLS),
    _Row(ConnectFailed, of_requests.ConnectionError, ErrorClass.CONNECT),
    _Row(TimeoutError, of_requests.ReadTimeout, ErrorClass.READ_TIMEOUT),
)

# Of requests' own: what nothing here becomes.
CANNOT_HAPPEN: Final[frozenset[type[BaseException]]] = frozenset(
    (
        of_requests.RequestException,  # the root, which is only raised as one of its kinds
        # Of what a session does with a URL, a body, headers and redirects, before and after an adapter has them.
        of_requests.URLRequired,
        of_requests.MissingSchema,
        of_requests.InvalidSchema,
        of_requests.InvalidProxyURL,
        of_requests.ProxyError,
        of_requests.UnrewindableBodyError,
        of_requests.TooManyRedirects,
        of_requests.RetryError,
        # Of what is asked of a response: raise_for_status, json, content.
        of_requests.HTTPError,
        of_requests.InvalidJSONError,
        of_requests.JSONDecodeError,
        of_requests.ContentDecodingError,
        of_requests.StreamConsumedError,
        # Warnings.
        of_requests.RequestsWarning,
        of_requests.FileModeWarning,
        of_requests.RequestsDependencyWarning,
    )
)

# OpenSSL has its own words for a connection that the peer closed.
_TLS_ENDS: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError)

_LINKS: Final = 12  # the longest chain seen has five


def error_class_of(error: BaseException) -> ErrorClass:
    """Return what an exception means for a delivery; `internal` for one that is not the endpoint's doing."""
    row = _row_of(error)
    return ErrorClass.INTERNAL if row is None else row.error_class


def as_requests(
    error: Exception, request: PreparedRequest, response: Response | None = None
) -> of_requests.RequestException | None:
    """Return the exception of requests that an exception becomes, None = it is none that can be foreseen.

    `response` is what is known of the answer. Where this machine was short of something it is one too, without a name.
    """
    row = _row_of(error)
    if row is None and not isinstance(error, OSError):
        return None
    becomes = of_requests.ConnectionError if row is None else row.becomes
    return becomes(error, request=request, response=response)


def is_lost(error: OSError) -> bool:
    """Return whether an error of a connected socket says that the connection is gone: reset, closed, unreachable."""
    if isinstance(error, ssl.SSLError):
        return isinstance(error, _TLS_ENDS)
    return not isinstance(error, TimeoutError) and lack_of(error) is None


def fault_of(error: BaseException) -> AnswerFault | None:
    """Return what was wrong with an answer, if that is what an exception is about."""
    return next((link for link in _chain(error) if isinstance(link, AnswerFault)), None)


def describe(error: BaseException) -> str:
    """Return one line about an exception, without what may be secret.

    The text of the innermost link is used, and only where it comes from the system, OpenSSL, or this room: unexpected
    errors may repeat a header. What was wrong with an answer is said by the reader and not by the system.
    """
    *_, innermost = _chain(error)
    said = fault_of(error) or innermost
    if not isinstance(said, OSError | WebhookError):
        return type(said).__name__
    text = said.strerror if isinstance(said, OSError) and said.strerror else str(said)
    line = "".join(character if character.isprintable() else " " for character in text).strip()
    return (line or type(said).__name__)[:DETAIL_CHARACTERS]


def _row_of(error: BaseException) -> _Row | None:
    chain = tuple(_chain(error))
    return next((row for row in ERRORS if any(isinstance(link, row.raised) for link in chain)), None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it wraps, outermost first; requests keeps the inner one among the arguments."""
    link: BaseException | None = error
    for _ in range(_LINKS):
        if link is None:
            return
        yield link
        wrapped = (link.__cause__, *reversed(link.args))
        link = next((inner for inner in wrapped if isinstance(inner, BaseException)), None)
