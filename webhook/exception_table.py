"""What an exception of requests, urllib3, ssl or a socket means; a test fails when they gain one."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPException
from typing import TYPE_CHECKING, Final

import requests.exceptions as of_requests
import urllib3.exceptions as of_urllib3

from webhook.deadline_socket import DeadlineExceeded
from webhook.errors import AddressBlocked, HeaderRefusedError, WebhookError
from webhook.outcome import DETAIL_CHARACTERS, ErrorClass

if TYPE_CHECKING:
    from collections.abc import Iterator

# The first row that holds any link of an exception's chain decides. The order is what makes it right: the
# deadline before other time-outs, what is known by name (DNS, TLS, connecting) before the wrappers around it.
ERROR_CLASSES: Final[tuple[tuple[type[BaseException], ErrorClass], ...]] = (
    (AddressBlocked, ErrorClass.BLOCKED),
    (HeaderRefusedError, ErrorClass.BLOCKED),
    (DeadlineExceeded, ErrorClass.DEADLINE),
    (socket.gaierror, ErrorClass.DNS),
    (of_urllib3.NameResolutionError, ErrorClass.DNS),
    (of_urllib3.NewConnectionError, ErrorClass.CONNECT),
    (of_urllib3.ConnectTimeoutError, ErrorClass.CONNECT_TIMEOUT),
    (of_requests.ConnectTimeout, ErrorClass.CONNECT_TIMEOUT),
    (ssl.SSLError, ErrorClass.TLS),
    (of_urllib3.SSLError, ErrorClass.TLS),
    (of_requests.SSLError, ErrorClass.TLS),
    (of_urllib3.ReadTimeoutError, ErrorClass.READ_TIMEOUT),
    (of_urllib3.TimeoutError, ErrorClass.READ_TIMEOUT),
    (of_requests.ReadTimeout, ErrorClass.READ_TIMEOUT),
    (of_requests.Timeout, ErrorClass.READ_TIMEOUT),
    (TimeoutError, ErrorClass.READ_TIMEOUT),
    (of_urllib3.IncompleteRead, ErrorClass.PROTOCOL),
    (of_urllib3.InvalidChunkLength, ErrorClass.PROTOCOL),
    (of_urllib3.ResponseNotChunked, ErrorClass.PROTOCOL),
    (of_urllib3.HeaderParsingError, ErrorClass.PROTOCOL),
    (of_urllib3.ProtocolError, ErrorClass.PROTOCOL),
    (of_requests.ChunkedEncodingError, ErrorClass.PROTOCOL),
    (HTTPException, ErrorClass.PROTOCOL),
    (of_requests.ConnectionError, ErrorClass.PROTOCOL),
    (ConnectionError, ErrorClass.PROTOCOL),
)

# What the way a request takes here can't raise; were one to come all the same, it is `internal`.
CANNOT_HAPPEN: Final[frozenset[type[BaseException]]] = frozenset(
    (
        # Roots, which are only raised as one of their kinds.
        of_requests.RequestException,
        of_urllib3.HTTPError,
        of_urllib3.PoolError,
        of_urllib3.RequestError,
        # raise_for_status, .json() and .text are not called, bodies are bytes and not decoded.
        of_requests.HTTPError,
        of_requests.InvalidJSONError,
        of_requests.JSONDecodeError,
        of_requests.ContentDecodingError,
        of_requests.StreamConsumedError,
        of_requests.UnrewindableBodyError,
        of_urllib3.DecodeError,
        of_urllib3.BodyNotHttplibCompatible,
        of_urllib3.UnrewindableBodyError,
        # The URL is checked by the guard and the headers are checked by us before either library sees them.
        of_requests.URLRequired,
        of_requests.MissingSchema,
        of_requests.InvalidSchema,
        of_requests.InvalidURL,
        of_requests.InvalidHeader,
        of_urllib3.InvalidHeader,
        of_urllib3.LocationValueError,
        of_urllib3.LocationParseError,
        of_urllib3.URLSchemeUnknown,
        of_urllib3.HostChangedError,
        # No proxies, no redirects, no retries by the libraries, no blocking pools, valid time-outs.
        of_requests.InvalidProxyURL,
        of_requests.ProxyError,
        of_urllib3.ProxyError,
        of_urllib3.ProxySchemeUnknown,
        of_urllib3.ProxySchemeUnsupported,
        of_requests.TooManyRedirects,
        of_requests.RetryError,
        of_urllib3.MaxRetryError,
        of_urllib3.ResponseError,
        of_urllib3.EmptyPoolError,
        of_urllib3.FullPoolError,
        of_urllib3.TimeoutStateError,
        # Only after close(), which is the caller's mistake and not the endpoint's.
        of_urllib3.ClosedPoolError,
        # Warnings.
        of_requests.RequestsWarning,
        of_requests.FileModeWarning,
        of_requests.RequestsDependencyWarning,
        of_urllib3.HTTPWarning,
        of_urllib3.SecurityWarning,
        of_urllib3.InsecureRequestWarning,
        of_urllib3.NotOpenSSLWarning,
        of_urllib3.SystemTimeWarning,
        of_urllib3.InsecurePlatformWarning,
        of_urllib3.DependencyWarning,
    )
)

# OpenSSL has its own words for a connection that the peer closed.
_RESETS: Final = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)

_LINKS: Final = 12  # the longest chain seen has five


def error_class_of(error: BaseException) -> ErrorClass:
    """Return what an exception means for a delivery; `internal` for one that is not the endpoint's doing."""
    chain = tuple(_chain(error))
    for exception_type, error_class in ERROR_CLASSES:
        if any(isinstance(link, exception_type) for link in chain):
            return error_class
    return ErrorClass.INTERNAL


def is_reset(error: BaseException) -> bool:
    """Return whether the peer ended the connection: reset, broken pipe, or closed without an answer."""
    return any(isinstance(link, _RESETS) for link in _chain(error))


def describe(error: BaseException) -> str:
    """Return one line about an exception, without what may be secret.

    The text of the innermost link is used, and only where it comes from the system, OpenSSL, http.client or
    this room: the wrappers around it repeat the URL's path, and unexpected errors may repeat a header.
    """
    *_, innermost = _chain(error)
    if not isinstance(innermost, OSError | HTTPException | WebhookError):
        return type(innermost).__name__
    text = innermost.strerror if isinstance(innermost, OSError) and innermost.strerror else str(innermost)
    line = "".join(character if character.isprintable() else " " for character in text).strip()
    return (line or type(innermost).__name__)[:DETAIL_CHARACTERS]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what it wraps, outermost first; each library keeps the inner one elsewhere."""
    link: BaseException | None = error
    for _ in range(_LINKS):
        if link is None:
            return
        yield link
        wrapped = (getattr(link, "reason", None), link.__cause__, *reversed(link.args))
        link = next((inner for inner in wrapped if isinstance(inner, BaseException)), None)
