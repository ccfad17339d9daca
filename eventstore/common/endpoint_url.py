"""The URL of an endpoint, read by the one parser that `apply`, the guard and the sender share. Pure."""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote

from eventstore.common.excerpt import stored_bytes
from eventstore.common.host_name import ascii_host
from eventstore.errors import UrlInvalidError

__all__ = ["URL_BYTES", "Target", "parse_url"]

# Each failed attempt keeps it in the log, as JSON: a letter beyond ASCII takes two to four bytes there, a quote two.
URL_BYTES: Final = 2048
HIGHEST_PORT: Final = 65_535

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}

# Parsers drop tabs and line ends silently, and disagree on a backslash: each would send the request elsewhere than
# where the check looked. A lone surrogate is not a character at all.
_FORBIDDEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ud800-\udfff]")
# RFC 3986 section 3, for URLs with an authority. Every text without what is forbidden is of this form or refused.
_URL: Final = re.compile(r"(?P<scheme>[^:/?#]*)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?:#.*)?")
_AUTHORITY: Final = re.compile(r"(?:\[(?P<address>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>.*))?")
# What browsers leave as it is (WHATWG URL, the path and query percent-encode sets); quote() adds letters and digits.
_PATH_SAFE: Final = "!$%&'()*+,-./:;=@[]_|~"
_QUERY_SAFE: Final = "!$%&()*+,-./:;=?@[]^_`{|}~"


@dataclass(frozen=True, slots=True)
class Target:
    """A checked URL in parts: lower-case ASCII host without brackets, port, and the path with its query.

    `path_url` is what the request line has: as it was written, `%` and a trailing `?` too; only what is not ASCII, or
    may not stand in a request line, is percent-encoded as browsers do. The fragment is left out.
    """

    scheme: str
    host: str
    port: int
    path_url: str
    host_header: str


def parse_url(url: str) -> Target:
    """Return the parts of an http or https URL; raise UrlInvalidError, whose text never has the path."""
    if len(url) > URL_BYTES:
        raise UrlInvalidError(f"the URL is longer than {URL_BYTES} bytes")
    if (found := _FORBIDDEN.search(url)) is not None:
        kind = (
            "a backslash"
            if found.group() == "\\"
            else f"white space or a control character (U+{ord(found.group()):04X})"
        )
        raise UrlInvalidError(f"the URL has {kind} in it, at character {found.start() + 1}")
    if stored_bytes(url) > URL_BYTES:
        raise UrlInvalidError(f"the URL is longer than {URL_BYTES} bytes as it is stored")
    parts = _URL.fullmatch(url)
    if parts is None or (scheme := parts["scheme"].lower()) not in _DEFAULT_PORTS:
        raise UrlInvalidError("the URL's scheme is neither https:// nor http://")
    authority = parts["authority"]
    if "@" in authority:
        raise UrlInvalidError("the URL has a user name in it, and credentials belong in headers")
    split = _AUTHORITY.fullmatch(authority)
    if split is None:
        raise UrlInvalidError(f"the URL's host is malformed: {authority[:80]}")
    host = _ipv6(split["address"]) if split["address"] is not None else ascii_host(split["name"])
    port = _port(split["port"], _DEFAULT_PORTS[scheme])
    shown = f"[{host}]" if ":" in host else host
    return Target(
        scheme=scheme,
        host=host,
        port=port,
        path_url=quote(parts["path"] or "/", safe=_PATH_SAFE) + quote(parts["query"] or "", safe=_QUERY_SAFE),
        host_header=shown if port == _DEFAULT_PORTS[scheme] else f"{shown}:{port}",
    )


def _port(text: str | None, default: int) -> int:
    if not text:
        return default
    if not (text.isascii() and text.isdecimal()):
        raise UrlInvalidError(f"the URL's port is not a number: {text[:20]}")
    if len(text.lstrip("0")) > 5 or not 1 <= int(text) <= HIGHEST_PORT:
        raise UrlInvalidError(f"the URL's port is not from 1 to {HIGHEST_PORT}: {text[:20]}")
    return int(text)


def _ipv6(text: str) -> str:
    if "%" in text:
        raise UrlInvalidError(f"the URL's host has a zone id, which has a meaning on one machine only: [{text[:80]}]")
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise UrlInvalidError(f"the URL's host is not an IPv6 address: [{text[:80]}]") from None
