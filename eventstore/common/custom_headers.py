"""An app's own headers, "Name: value": the one parser that `apply` and the sender share. Pure."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final, TypeAlias

from eventstore.errors import HeaderInvalidError

__all__ = ["CUSTOM_HEADERS", "CUSTOM_HEADER_BYTES", "Headers", "parse_custom_headers"]

Headers: TypeAlias = tuple[tuple[str, str], ...]

# Half of the 100 headers that most servers read, and the 8 KiB a line that nginx and Apache accept.
CUSTOM_HEADERS: Final = 50
CUSTOM_HEADER_BYTES: Final = 8192
CUSTOM_NAME_CHARACTERS: Final = 100  # the names are in events, for ever

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2

# Framing and hop-by-hop (RFC 9110, sections 7.6.1 and 10.1.1): whoever sets one of these decides where the request
# goes or where its body ends.
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

    Raise HeaderInvalidError at the first line that may not go out: its text says which line or name and
    why, never the value.
    """
    parsed: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(lines, start=1):
        if number > CUSTOM_HEADERS:
            raise HeaderInvalidError(f"more than {CUSTOM_HEADERS} custom headers")
        name, value = _parse_line(number, line)
        if name.lower() in parsed:
            raise HeaderInvalidError(f"header {number} ({name}) is given twice")
        parsed[name.lower()] = (name, value)
    return tuple(parsed.values())


def _parse_line(number: int, line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    # A bad name is not shown: where the colon is missing it may be the secret itself.
    if not colon or not _TOKEN.fullmatch(name):
        raise HeaderInvalidError(f'header {number} is not of the form "Name: value"')
    if len(name) > CUSTOM_NAME_CHARACTERS:
        raise HeaderInvalidError(f"header {number} has a name of more than {CUSTOM_NAME_CHARACTERS} characters")
    if fault := _fault(name, value := value.strip(" \t")):
        raise HeaderInvalidError(f"header {number} ({name}) {fault}")
    return name, value


def _fault(name: str, value: str) -> str:
    """Return why a header may not go out; empty = it may."""
    if name.lower() in _NOT_THE_APPS:
        return "belongs to the connection and can't be set"
    if any(unicodedata.category(character) == "Cc" for character in value):
        return "has a control character in its value"
    if not all(ord(character) < 256 for character in value):
        return "has a character outside latin-1 in its value"
    if len(name) + len(value) + 2 > CUSTOM_HEADER_BYTES:
        return f"is longer than {CUSTOM_HEADER_BYTES} bytes"
    return ""
