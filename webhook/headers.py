"""The headers of a request: the app's own, the platform's, what goes out and what is logged."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Final, TypeAlias

from webhook.errors import HeaderRefusedError
from webhook.signature import sentry_signature, standard_signature

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

Headers: TypeAlias = tuple[tuple[str, str], ...]

# Half of the 100 headers that http.client reads, and the 8 KiB a line that nginx and Apache accept.
CUSTOM_HEADERS: Final = 50
CUSTOM_HEADER_BYTES: Final = 8192

HIDDEN: Final = "[hidden]"

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

# Framing and hop-by-hop: whoever sets one of these decides where the request goes or where its body ends.
_NOT_THE_APPS: Final = frozenset(
    (
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "expect",
        "te",
        "upgrade",
        "trailer",
        "http2-settings",
    )
)


def parse_custom_headers(lines: Iterable[str]) -> Headers:
    """Return the (name, value) pairs of "Name: value" lines, in their order.

    Raise HeaderRefusedError at the first line that may not go out: its text says which line or name and
    why, never the value.
    """
    parsed: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        if number > CUSTOM_HEADERS:
            raise HeaderRefusedError(f"more than {CUSTOM_HEADERS} custom headers")
        name, value = _parse_line(number, line)
        if name.lower() in parsed:
            raise HeaderRefusedError(f"header {name} is given twice")
        parsed[name.lower()] = (name, value)
    return tuple(parsed.values())


def _parse_line(number: int, line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    # A bad name is not shown: where the colon is missing it may be the secret itself.
    if not colon or not _TOKEN.fullmatch(name):
        raise HeaderRefusedError(f'header line {number} is not of the form "Name: value"')
    if name.lower() in _NOT_THE_APPS:
        raise HeaderRefusedError(f"header {name} belongs to the connection and can't be set")
    value = value.strip(" \t")
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise HeaderRefusedError(f"header {name} has a control character in its value")
    if not all(ord(character) < 256 for character in value):
        raise HeaderRefusedError(f"header {name} has a character outside latin-1 in its value")
    if len(name) + len(value) + 2 > CUSTOM_HEADER_BYTES:
        raise HeaderRefusedError(f"header {name} is longer than {CUSTOM_HEADER_BYTES} bytes")
    return name, value


def platform_headers(
    *,
    host_header: str,
    resource: str,
    request_id: str,
    delivery_id: str,
    timestamp_s: int,
    secrets: Sequence[str],
    body: bytes,
    signing_key: bytes | None = None,
) -> Headers:
    """Return the platform's own headers: the table of FLOW section 2, Standard Webhooks, and the framing.

    `timestamp_s` is in unix seconds; the first secret makes Sentry-Hook-Signature, all of them and the
    signing key webhook-signature. Host and Content-Length are among them so that what is logged is all
    that was sent.
    """
    timestamp = str(timestamp_s)
    return (
        ("Host", host_header),
        ("User-Agent", user_agent()),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Request-ID", request_id),
        ("Sentry-Hook-Resource", resource),
        ("Sentry-Hook-Timestamp", timestamp),
        ("Sentry-Hook-Signature", sentry_signature(secrets[0], body)),
        ("webhook-id", delivery_id),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", standard_signature(secrets, delivery_id, timestamp_s, body, signing_key=signing_key)),
    )


@cache
def user_agent() -> str:
    """Return `hookfuse/<version>`, or version 0 where the distribution is not installed."""
    try:
        return f"hookfuse/{metadata.version('hookfuse')}"
    except metadata.PackageNotFoundError:
        return "hookfuse/0"


def merge(platform: Headers, custom: Headers) -> Headers:
    """Return the platform's headers, then the custom ones that don't name one of them in any case."""
    if not custom:
        return platform
    taken = {name.lower() for name, _ in platform}
    return platform + tuple((name, value) for name, value in custom if name.lower() not in taken)


def redacted(headers: Headers, custom_names: Collection[str]) -> Headers:
    """Return the headers as they may be logged: the value of each custom one is `[hidden]`.

    `custom_names` are those that went out; leave out those that lost to the platform's own.
    """
    if not custom_names:
        return headers
    hidden = {name.lower() for name in custom_names}
    return tuple((name, HIDDEN if name.lower() in hidden else value) for name, value in headers)


def head_lines(headers: Mapping[str, str]) -> bytes:
    """Return the headers as lines, without the last line end; a line end within one of them is refused."""
    lines = "\r\n".join([f"{name}: {value}" for name, value in headers.items()])
    if lines.count("\n") != len(headers) - 1 or lines.count("\r") != len(headers) - 1:
        raise ValueError("a header has a line end in it")
    return lines.encode("latin-1")
