"""Where a request goes, read from a URL by the one parser that all of this room uses."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from webhook.errors import UrlRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

URL_CHARACTERS: Final = 2048
HIGHEST_PORT: Final = 65_535
HOST_CHARACTERS: Final = 253  # RFC 1035, section 2.3.4, as text

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# urlsplit drops tabs and line ends silently, and parsers disagree on a backslash: each would send the request
# elsewhere than where the check looked.
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029]")
_HOST_NAME: Final = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?")


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL in parts: lower-case ASCII host without brackets, port, and the path with its query."""

    scheme: str
    host: str
    port: int
    path_url: str
    host_header: str


@lru_cache(maxsize=4096)  # the active endpoints; parsing costs more than everything else that is checked here
def parse_target(url: str) -> Target:
    """Return the parts of an http or https URL; raise UrlRefusedError, whose text never has the path."""
    if len(url) > URL_CHARACTERS:
        raise UrlRefusedError(f"the URL is longer than {URL_CHARACTERS} characters")
    if _FORBIDDEN.search(url):
        raise UrlRefusedError("the URL has white space, a control character or a backslash in it")
    parts = _refusing(lambda: urlsplit(url), "the URL is malformed")
    if parts.scheme not in _DEFAULT_PORTS:
        raise UrlRefusedError("the URL's scheme is neither https nor http")
    if "@" in parts.netloc:
        raise UrlRefusedError("the URL has a user name or a password in it")
    host = _host(parts)
    default = _DEFAULT_PORTS[parts.scheme]
    port = _port(parts, default)
    shown = f"[{host}]" if ":" in host else host
    path = parts.path or "/"
    return Target(
        scheme=parts.scheme,
        host=host,
        port=port,
        path_url=f"{path}?{parts.query}" if parts.query else path,
        host_header=shown if port == default else f"{shown}:{port}",
    )


def _refusing(parse: Callable[[], SplitResult], reason: str) -> SplitResult:
    try:
        return parse()
    except ValueError:
        raise UrlRefusedError(reason) from None


def _port(parts: SplitResult, default: int) -> int:
    try:
        port = default if parts.port is None else parts.port
    except ValueError:
        raise UrlRefusedError("the URL's port is not a number") from None
    if not 1 <= port <= HIGHEST_PORT:
        raise UrlRefusedError(f"the URL's port is not from 1 to {HIGHEST_PORT}")
    return port


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host:
        raise UrlRefusedError("the URL has no host")
    if "%" in host:
        raise UrlRefusedError("the URL's host has a zone id or a percent sign")
    if "[" in parts.netloc or ":" in host:
        try:
            return str(IPv6Address(host))
        except ValueError:
            raise UrlRefusedError("the URL's host is not an IPv6 address") from None
    return _host_name(host)


def _host_name(host: str) -> str:
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise UrlRefusedError("the URL's host is not a host name") from None
    if len(name) > HOST_CHARACTERS or not _HOST_NAME.fullmatch(name):
        raise UrlRefusedError("the URL's host is not a host name")
    return name
