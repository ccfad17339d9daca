"""Secrets in a text from outside, in whatever form an endpoint shows them again. Pure."""

from __future__ import annotations

import re
import traceback
from base64 import b64decode, b64encode, urlsafe_b64encode
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from webhook.plain_text import plain, plain_bytes, plain_of_byte_lists

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HIDDEN: Final = "[hidden]"
# Shorter ones are not secrets, and would blacken half of a text.
_FEWEST_CHARACTERS: Final = 6
# So much of a secret's beginning, at the end of a text, is taken for a secret that was cut off.
_FEWEST_OF_A_CUT_ONE: Final = 4
# So much of its beginning or its end, and half of it at least, is hidden wherever it is: a shortened one shows less.
_FEWEST_OF_A_PART: Final = 8
# Of a header's value: endpoints show what is behind a scheme (RFC 9110, section 11.1), a name, or a user alone.
_BETWEEN_PARTS: Final = re.compile(r"[\s,;:=@\"'(){}<>|&]+")
_FEWEST_OF_A_VALUES_PART: Final = 8
_PARTS_MAX: Final = 20
_CREDENTIALS: Final = re.compile(r"(?i)([a-z][a-z0-9._-]*)[ =]+(\S.*)")
# Of a character: an entity of HTML, or a percent sign that was percent-encoded once more.
_LONGEST_SPELLING: Final = 12
_NOTHING: Final = rb"(?!)"  # what no text has
# Of a longer secret its beginning is known at the end of what is looked at.
_CHARACTERS_BEHIND: Final = 256


class _Form(NamedTuple):
    """Plain bytes to look for; from `least` of them on, at either of their ends, a part is enough."""

    data: bytes
    least: int


class SecretMask:
    """Hides an app's secrets: as they are, backwards, in hex and base64, with any escapes of URLs, JSON and HTML."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms = _forms_of(tuple(sorted({secret for secret in secrets if len(secret) >= _FEWEST_CHARACTERS})))

    def hide(self, text: str) -> str:
        """Return a text without the secrets, and without the beginning of one that is cut off at its end."""
        return _hidden(text, self._forms) if len(text) >= _FEWEST_OF_A_CUT_ONE else text

    def excerpt(self, body: bytes, characters: int) -> str:
        """Return the beginning of a text that came as bytes; secrets are hidden before it is cut."""
        # One that begins within the excerpt may end behind it.
        window = characters + _LONGEST_SPELLING * min(self._forms.longest, _CHARACTERS_BEHIND)
        return self.hide(body[: 4 * window].decode("utf-8", "replace")[:window])[:characters]


def hidden_traceback(error: BaseException, mask: SecretMask) -> str:
    """Return where an exception came from, as text without secrets; a logger's own would show those in its message."""
    return mask.hide("".join(traceback.format_exception(error)))


class _Forms:
    """The forms of some secrets, which are one object for all who have the same.

    A form, or enough of one, begins in one of some ways: a text with none of them, as each answer to a delivery that
    succeeds, is looked through once and not once for each form.
    """

    def __init__(self, forms: tuple[_Form, ...], longest: int) -> None:
        self.forms = forms
        self.longest = longest
        parts = {part for form in forms for part in (form.data, form.data[-form.least :])}
        begins = sorted({part[:_FEWEST_OF_A_CUT_ONE] for part in parts})
        self._begins = re.compile(b"|".join(map(re.escape, begins)) or _NOTHING)

    def are_in(self, data: bytes) -> bool:
        """Return whether there is one in plain bytes, or enough of one."""
        return self._begins.search(data) is not None and any(
            form.data[: form.least] in data or form.data[-form.least :] in data or _begin_at(data, form) >= 0
            for form in self.forms
        )


@lru_cache(maxsize=512)  # an endpoint says the same again and again
def _hidden(text: str, forms: _Forms) -> str:
    data = text.encode("utf-8", "surrogatepass")
    spans = sorted(_spans(data, forms))
    if not spans:
        return text
    shown, at = bytearray(), 0
    for start, end in spans:
        if start >= at:
            shown += data[at:start] + HIDDEN.encode()
        at = max(at, end)
    return (shown + data[at:]).decode("utf-8", "replace")


def _spans(data: bytes, forms: _Forms) -> Iterator[tuple[int, int]]:
    """Yield where in a text something is to be hidden."""
    lists = plain_of_byte_lists(data)
    if lists is not None and forms.are_in(lists.data):
        yield from (lists.span(*found) for form in forms.forms for found in _found(lists.data, form))
    # To know where each byte stands costs ten times as much as to know that nothing is there.
    if not forms.are_in(plain_bytes(data)):
        return
    text = plain(data)
    for form in forms.forms:
        yield from (text.span(*found) for found in _found(text.data, form))
        begin = _begin_at(text.data, form)
        if begin >= 0:
            yield text.span(begin, begin + 1)[0], len(data)


def _found(data: bytes, form: _Form) -> Iterator[tuple[int, int]]:
    """Yield where a form is in plain bytes, whole or as its beginning or its end."""
    begin, at = form.data[: form.least], 0
    while (at := data.find(begin, at)) >= 0:
        stop = at + form.least
        while stop < min(len(data), at + len(form.data)) and data[stop] == form.data[stop - at]:
            stop += 1
        yield at, stop
        at = stop
    end, stop = form.data[-form.least :], len(data)
    while form.least < len(form.data) and (at := data.rfind(end, 0, stop)) >= 0:
        stop = at + form.least
        length = form.least
        while length < len(form.data) and at > 0 and data[at - 1] == form.data[-length - 1]:
            at, length = at - 1, length + 1
        yield at, stop
        stop = at + form.least - 1


def _begin_at(data: bytes, form: _Form) -> int:
    """Return where in plain bytes the beginning of a form stands that goes on to their end; -1 = nowhere."""
    begin, at = form.data[:_FEWEST_OF_A_CUT_ONE], max(0, len(data) - len(form.data))
    while (at := data.find(begin, at)) >= 0:
        if form.data.startswith(data[at:]):
            return at
        at += 1
    return -1


@lru_cache(maxsize=1024)  # of the apps at work
def _forms_of(secrets: tuple[str, ...]) -> _Forms:
    """Return all forms of the secrets."""
    parts = {part for secret in secrets for part in (secret, *_parts(secret)) if len(part) >= _FEWEST_CHARACTERS}
    forms: dict[bytes, int] = {}
    for part in sorted(parts):
        for data in map(_plain, _texts(part)):
            forms[data] = max(min(_FEWEST_OF_A_PART, len(data)), (len(data) + 1) // 2)
    for part in sorted(parts):
        for data in map(_plain, _encoded(part)):
            forms.setdefault(data, len(data))
    kept = tuple(_Form(data, least) for data, least in forms.items() if len(data) >= _FEWEST_CHARACTERS)
    return _Forms(kept, max(map(len, secrets), default=0))


def _plain(text: str) -> bytes:
    # With something behind it, or its last characters were taken for half of an escape.
    return plain_bytes(f"{text}\n".encode("utf-8", "surrogatepass"))


def _parts(secret: str) -> Iterator[str]:
    """Yield what of a header's value is secret by itself: credentials, the password in them, the value of a name."""
    longer = (part for part in _BETWEEN_PARTS.split(secret) if len(part) >= _FEWEST_OF_A_VALUES_PART)
    yield from (part for part, _ in zip(longer, range(_PARTS_MAX), strict=False))
    match = _CREDENTIALS.fullmatch(secret)
    if match is None:
        return
    yield match[2]
    if match[1].lower() == "basic":
        with suppress(ValueError):  # base64 of something else, or none
            decoded = b64decode(match[2], validate=True).decode()
            yield decoded
            yield decoded.partition(":")[2]


def _texts(secret: str) -> Iterator[str]:
    """Yield the texts that a secret is shown as, except for case and escapes."""
    for text in (secret, secret.lower(), secret.upper()):  # those that are not ASCII have another case in other bytes
        yield text
        yield text[::-1]
    yield secret.encode().decode("latin-1")  # as a header's value is read
    yield secret.encode("latin-1", "replace").decode("utf-8", "replace")  # as it was sent, read as UTF-8


def _encoded(secret: str) -> Iterator[str]:
    data = secret.encode()
    yield data.hex()
    for shift in range(3):
        yield from _base64_within(data, shift)


def _base64_within(data: bytes, shift: int) -> Iterator[str]:
    """Yield what base64 of a text that holds the data has in common, whatever stands around it."""
    # Of each three bytes four characters: those that share a byte with what stands around it are left out.
    first = -(-8 * shift // 6)
    last = 8 * (shift + len(data)) // 6
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(bytes(shift) + data).decode()[first:last]
