"""Secrets in a text from outside, in whatever form an endpoint shows them again. Pure."""

from __future__ import annotations

import html
import json
import re
import traceback
from base64 import b64decode, b64encode, urlsafe_b64encode
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HIDDEN: Final = "[hidden]"
# Shorter ones are no secrets, and would blacken half of a text.
_FEWEST_CHARACTERS: Final = 6
# So much of a secret's beginning, at the end of a text, is taken for a secret that was cut off.
_FEWEST_OF_A_CUT_ONE: Final = 4
_NOTHING: Final = r"(?!)"  # what no text has
# "Bearer abc": endpoints show what is behind the scheme alone (RFC 9110, section 11.1).
_CREDENTIALS: Final = re.compile(r"(?i)(basic|bearer|token|apikey|api-key|key|hmac|digest|negotiate)[ =]+(\S.*)")


class SecretMask:
    """Hides an app's secrets: as they are, and percent-encoded, in base64, in hex, escaped as JSON or as HTML."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._forms, self._begins = _forms(
            tuple(sorted({secret for secret in secrets if len(secret) >= _FEWEST_CHARACTERS}))
        )

    def hide(self, text: str) -> str:
        """Return a text without the secrets, and without the beginning of one that is cut off at its end."""
        # A secret begins with its beginning, and so does a part of one: a text without any, as each answer to a
        # delivery that succeeds, is looked through once and not once for each form.
        if self._begins.search(text) is None:
            return text
        for form in self._forms:
            text = text.replace(form, HIDDEN)
        return self._without_cut_end(text)

    def excerpt(self, body: bytes, characters: int) -> str:
        """Return the beginning of a text that came as bytes; secrets are hidden before it is cut."""
        # A character takes four bytes at most, and one that begins within the excerpt may end behind it.
        window = body[: 4 * (characters + self._longest())]
        return self.hide(window.decode("utf-8", "replace"))[:characters]

    def _longest(self) -> int:
        return len(self._forms[0]) if self._forms else 0

    def _without_cut_end(self, text: str) -> str:
        for form in self._forms:
            begin, start = _begin_of(form), max(0, len(text) - len(form))
            while (start := text.find(begin, start)) >= 0:
                if form.startswith(text[start:]):
                    return text[:start] + HIDDEN
                start += 1
        return text


def hidden_traceback(error: BaseException, mask: SecretMask) -> str:
    """Return where an exception came from, as text without secrets; a logger's own would show those in its message."""
    return mask.hide("".join(traceback.format_exception(error)))


@lru_cache(maxsize=1024)  # of the apps at work
def _forms(secrets: tuple[str, ...]) -> tuple[tuple[str, ...], re.Pattern[str]]:
    """Return all forms of the secrets, and a pattern of how they begin.

    The longest is first, so that none hides a part of another only.
    """
    parts = {part for secret in secrets for part in (secret, *_parts(secret)) if len(part) >= _FEWEST_CHARACTERS}
    forms = {form for part in parts for form in _forms_of(part) if len(form) >= _FEWEST_CHARACTERS}
    begins = "|".join(re.escape(begin) for begin in sorted({_begin_of(form) for form in forms}))
    return tuple(sorted(forms, key=lambda form: (-len(form), form))), re.compile(begins or _NOTHING)


def _begin_of(form: str) -> str:
    return form[:_FEWEST_OF_A_CUT_ONE]


def _parts(secret: str) -> Iterator[str]:
    """Yield what of a header's value is secret by itself: the credentials, and the password in them."""
    match = _CREDENTIALS.fullmatch(secret)
    if match is None:
        return
    credentials = match[2]
    yield credentials
    if match[1].lower() == "basic":
        with suppress(ValueError):  # base64 of something else, or none
            decoded = b64decode(credentials, validate=True).decode()
            yield decoded
            yield decoded.partition(":")[2]


def _forms_of(secret: str) -> Iterator[str]:
    for text in (secret, secret.lower(), secret.upper()):
        yield text
        yield "\x00".join(text)  # UTF-16, read as UTF-8
        for encoded in (quote(text, safe=""), quote(text), quote_plus(text)):
            yield encoded
            yield re.sub("%..", lambda match: match[0].lower(), encoded)
            yield quote(encoded, safe="")
        for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
            yield escaped
            yield escaped.replace("/", "\\/")
            yield json.dumps(escaped)[1:-1]
        yield html.escape(text)
        yield html.escape(text, quote=False)
    data = secret.encode()
    yield data.hex()
    yield data.hex().upper()
    yield data.decode("latin-1")  # as a header's value is read
    yield secret.encode("latin-1", "replace").decode("utf-8", "replace")  # as it was sent, read as UTF-8
    for shift in range(3):
        yield from _base64_within(data, shift)


def _base64_within(data: bytes, shift: int) -> Iterator[str]:
    """Yield what base64 of a text that holds the data has in common, whatever stands around it."""
    # Of each three bytes four characters: those that share a byte with what stands around it are left out.
    first = -(-8 * shift // 6)
    last = 8 * (shift + len(data)) // 6
    for encode in (b64encode, urlsafe_b64encode):
        yield encode(bytes(shift) + data).decode()[first:last]
