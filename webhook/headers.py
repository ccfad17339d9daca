"""The headers of a request: the app's own, the platform's, what goes out and what is logged."""

from __future__ import annotations

from functools import cache, lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Final

from eventstore.common import custom_headers
from eventstore.common.custom_headers import Headers
from eventstore.errors import HeaderInvalidError
from webhook.errors import HeaderRefusedError
from webhook.signature import sentry_signature, standard_signature

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

__all__ = [
    "HIDDEN",
    "Headers",
    "check_custom_headers",
    "head_lines",
    "merge",
    "parse_custom_headers",
    "platform_headers",
    "redacted",
    "user_agent",
]

HIDDEN: Final = "[hidden]"


def parse_custom_headers(lines: Iterable[str]) -> Headers:
    """Return the (name, value) pairs of "Name: value" lines; raise HeaderRefusedError, which never shows a value."""
    try:
        return custom_headers.parse_custom_headers(lines)
    except HeaderInvalidError as error:
        raise HeaderRefusedError(str(error)) from None


@lru_cache(maxsize=4096)  # those of the active endpoints: they are checked once, and not with each delivery
def check_custom_headers(headers: Headers) -> Headers:
    """Return the headers as they may go out; raise HeaderRefusedError as `parse_custom_headers` does."""
    return parse_custom_headers(f"{name}: {value}" for name, value in headers)


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
    """Return the platform's own headers: the table of docs/original.md, section 2, Standard Webhooks, and the framing.

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
