"""Text from outside as plain bytes, without what it is escaped with, and where each of them stands in it. Pure.

Endpoints show what they were sent in many spellings, and mix them. What is looked for is looked for in the one that
they have in common: in lower case, without escapes, and without what may stand between two characters.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# White space and the + for it, NUL of UTF-16, a backslash.
_BETWEEN: Final = b" \t\n\v\f\r+\\\x00"
# An escape that a cut has left half of; percent (also more than once), JSON and programs, and HTML (the same).
_ESCAPE: Final = re.compile(
    rb"""
    (?P<half> %(?:25)*[0-9a-f]?\Z | \\+(?:u[0-9a-f]{0,3}|x[0-9a-f]?|[0-3][0-7]?)?\Z
        | &(?:amp;)*(?:\#x?[0-9a-f]{0,6}|q(?:uo?t?)?|a(?:po?s?|mp?)?|[lg]t?)?\Z )
  | %(?:25)*(?P<percent>[0-9a-f]{2})
  | \\+u\{?(?P<unicode>[0-9a-f]{4})\}?
  | \\+x(?P<hex>[0-9a-f]{2})
  | \\+(?P<octal>[0-3][0-7]{2})
  | &(?:amp;)*(?P<entity>\#[0-9]{1,7}|\#x[0-9a-f]{1,6}|[a-z]{2,8});
    """,
    re.VERBOSE | re.IGNORECASE,
)
# Where one may begin: a set of bytes is found ten times as fast as what is to be tried at each byte.
_ESCAPE_BEGIN: Final = re.compile(rb"[%\\&]")
_STEP_BEGIN: Final = re.compile(b"[%&" + re.escape(_BETWEEN) + b"]")
# Bytes one by one, as a debugger or Node's Buffer shows them. Six are the shortest secret.
_BYTE_LIST: Final = re.compile(
    rb"(?P<pairs>(?:0[xX])?(?:[0-9a-fA-F]{2}[ \t\r\n,:._-]+(?:0[xX])?){5,}[0-9a-fA-F]{2})"
    rb"|(?P<numbers>(?:[0-9]{1,3}[ \t\r\n]*,[ \t\r\n]*){5,}[0-9]{1,3})"
)
# What each list has in it: a set of bytes at its beginning lets `re` pass over the rest of a text.
_IN_A_LIST: Final = re.compile(
    rb"[0-9a-fA-F][0-9a-fA-F]?[ \t\r\n,:._-]+"
    rb"(?:0[xX])?[0-9a-fA-F]{1,3}[ \t\r\n,:._-]+(?:0[xX])?[0-9a-fA-F]{1,3}[ \t\r\n,:._-]"
)
_PAIR: Final = re.compile(rb"(?:0[xX])?([0-9a-fA-F]{2})")
_NUMBER: Final = re.compile(rb"([0-9]+)")


class _Piece(NamedTuple):
    """Some bytes of a text: as they stand there, or one escape of as many bytes as it has."""

    start: int
    end: int
    is_escape: bool


class PlainText:
    """The plain bytes of a text, and the pieces of it that they are made of."""

    def __init__(self, parts: Iterator[tuple[bytes, _Piece]]) -> None:
        data = bytearray()
        self._starts: list[int] = []
        self._pieces: list[_Piece] = []
        for made, piece in parts:
            kept = made.translate(None, _BETWEEN)
            if kept:
                self._starts.append(len(data))
                self._pieces.append(piece)
                data += kept
        self.data = bytes(data).lower()

    def span(self, start: int, stop: int) -> tuple[int, int]:
        """Return where in the text the plain bytes from `start` to `stop` stand."""
        first, last = bisect_right(self._starts, start) - 1, bisect_right(self._starts, stop - 1) - 1
        begin, end = self._pieces[first], self._pieces[last]
        return (
            begin.start if begin.is_escape else begin.start + start - self._starts[first],
            end.end if end.is_escape else end.start + stop - self._starts[last],
        )


def plain_bytes(text: bytes) -> bytes:
    """Return the plain bytes of a text alone, which is fast."""
    parts: list[bytes] = []
    at = 0
    found = _ESCAPE_BEGIN.search(text)
    while found is not None:
        match = _ESCAPE.match(text, found.start())
        if match is not None:
            parts += text[at : match.start()], _meant(match)
            at = match.end()
        found = _ESCAPE_BEGIN.search(text, found.end() if match is None else at)
    return b"".join((*parts, text[at:])).translate(None, _BETWEEN).lower()


def plain(text: bytes) -> PlainText:
    """Return a text without what it is escaped with."""
    return PlainText(_without_escapes(text))


def plain_of_byte_lists(text: bytes) -> PlainText | None:
    """Return a text's lists of bytes as what they spell, None = it has none."""
    return PlainText(_spelled(text)) if _IN_A_LIST.search(text) and _BYTE_LIST.search(text) else None


def _without_escapes(text: bytes) -> Iterator[tuple[bytes, _Piece]]:
    """Yield what the pieces of a text stand for."""
    at = 0
    while (found := _STEP_BEGIN.search(text, at)) is not None:
        start = found.start()
        match = _ESCAPE.match(text, start)
        stop = match.end() if match else start + 1
        is_escape = match is not None or text[start] in _BETWEEN
        made = _meant(match) if match else text[start:stop]
        yield text[at:start], _Piece(at, start, is_escape=False)
        yield made, _Piece(start, stop, is_escape=is_escape)
        at = stop
    yield text[at:], _Piece(at, len(text), is_escape=False)


def _meant(match: re.Match[bytes]) -> bytes:
    """Return the bytes that an escape stands for: none for half of one, and for what stands between two characters."""
    kind = match.lastgroup or ""
    if kind in {"percent", "hex"}:
        return bytes.fromhex(match[kind].decode())
    if kind == "octal":
        return bytes((int(match[kind], 8),))
    if kind == "unicode":
        return chr(int(match[kind], 16)).encode("utf-8", "surrogatepass")
    if kind == "entity":
        return html.unescape(f"&{match[kind].decode()};").encode("utf-8", "surrogatepass")
    return b""


def _spelled(text: bytes) -> Iterator[tuple[bytes, _Piece]]:
    for match in _BYTE_LIST.finditer(text):
        one, base = (_PAIR, 16) if match["pairs"] else (_NUMBER, 10)
        for each in one.finditer(text, match.start(), match.end()):
            yield bytes((int(each[1], base) & 0xFF,)), _Piece(*each.span(), is_escape=True)
        yield b"\xff", _Piece(match.end(), match.end(), is_escape=True)  # two lists are none together
