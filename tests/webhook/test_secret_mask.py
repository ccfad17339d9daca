"""No secret is kept of what an endpoint shows again, in whatever form and wherever it is cut."""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
import structlog
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.webhook.servers import answering, serving
from webhook import ErrorClass, SecretMask
from webhook.plain_text import plain, plain_bytes
from webhook.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook import WebhookRequest

SECRET = 'Zq9/+x"7&k w=Ä1'
TOKEN = "tok-8c1f0a52e1"
FORMS = {
    "as it is": SECRET,
    "percent-encoded": quote(SECRET, safe=""),
    "percent-encoded in lower case": re.sub("%..", lambda match: match[0].lower(), quote(SECRET)),
    "as a form": quote_plus(SECRET),
    "percent-encoded twice": quote(quote(SECRET, safe=""), safe=""),
    "JSON": json.dumps(SECRET)[1:-1],
    "JSON with slashes escaped": json.dumps(SECRET)[1:-1].replace("/", "\\/"),
    "JSON in JSON": json.dumps(json.dumps(SECRET)[1:-1])[1:-1],
    "HTML": html.escape(SECRET),
    "hex": SECRET.encode().hex(),
    "upper case": SECRET.upper(),
    "UTF-16": "\x00".join(SECRET),
    "UTF-8 read as latin-1": SECRET.encode().decode("latin-1"),
    "in other cases": SECRET.swapcase(),
    "backwards": SECRET[::-1],
    "percent-encoded throughout": "".join(f"%{byte:02X}" for byte in SECRET.encode()),
    "JSON throughout": "".join(f"\\u{ord(character):04x}" for character in SECRET),
    "JSON with some escaped": SECRET.replace("/", "\\u002F").replace("&", "\\u0026").replace('"', '\\"'),
    "a program's escapes": "".join(f"\\x{byte:02x}" for byte in SECRET.encode()),
    "octal": "".join(f"\\{byte:03o}" for byte in SECRET.encode()),
    "HTML in numbers": "".join(f"&#{ord(character)};" for character in SECRET),
    "HTML in hex": "".join(f"&#x{ord(character):x};" for character in SECRET),
    "HTML in HTML": html.escape(html.escape(SECRET)),
    "folded": f"{SECRET[:7]}\r\n {SECRET[7:]}",
    "spaced": " ".join(SECRET),
    "hex in other cases": SECRET.encode().hex()[:9].upper() + SECRET.encode().hex()[9:],
    "hex in pairs": SECRET.encode().hex(":"),
    "hex of a program": " ".join(f"0x{byte:02x}" for byte in SECRET.encode()),
    "a buffer of Node": ",".join(map(str, SECRET.encode())),
    "its first two thirds": SECRET[:10],
    "its last two thirds": SECRET[5:],
}
# Of what a cut leaves of these nobody knows that it is a part of the whole.
_NOT_KNOWN_BY_ITS_BEGINNING = {"hex in pairs", "hex of a program", "a buffer of Node", "its last two thirds"}


@pytest.mark.parametrize("form", list(FORMS))
def test_a_secret_is_hidden_in_each_form(form: str) -> None:
    assert SecretMask([SECRET]).hide(f"you sent <{FORMS[form]}>!") == "you sent <[hidden]>!"


@given(st.binary(max_size=5), st.binary(max_size=5))
def test_base64_of_what_holds_a_secret_is_hidden_whatever_stands_around_it(before: bytes, behind: bytes) -> None:
    for encode in (b64encode, urlsafe_b64encode):
        found = SecretMask([TOKEN]).hide(encode(before + TOKEN.encode() + behind).decode())

        assert "[hidden]" in found
        assert len(found.replace("[hidden]", "")) <= 4 * 6


@given(st.sampled_from(sorted(set(FORMS) - _NOT_KNOWN_BY_ITS_BEGINNING)), st.integers(0, 1100), st.integers(4, 60))
@example("spaced", 0, 7)
def test_no_form_of_a_secret_is_kept_wherever_the_excerpt_is_cut(name: str, before: int, shown: int) -> None:
    mask, form = SecretMask([SECRET]), FORMS[name]
    whole = mask.excerpt(("." * before + form + "!" * 50).encode(), 1024)
    cut_by_the_endpoint = mask.excerpt(("." * before + form[:shown]).encode(), 1024)

    for excerpt in (whole, cut_by_the_endpoint):
        assert plain_bytes(form.encode())[:4] not in plain_bytes(f"{excerpt}\n".encode())
        assert len(excerpt) <= 1024


@given(st.lists(st.tuples(st.sampled_from(range(len(SECRET))), st.sampled_from("%\\&x")), max_size=8))
def test_a_secret_is_hidden_with_any_of_its_characters_escaped_in_any_way(escaped: list[tuple[int, str]]) -> None:
    ways = {"%": "%{:02x}", "\\": "\\u{:04X}", "&": "&#{:d};", "x": "\\\\x{:02x}"}
    characters = list(TOKEN)
    for index, way in escaped:
        characters[index % len(TOKEN)] = ways[way].format(ord(TOKEN[index % len(TOKEN)]))

    assert SecretMask([TOKEN]).hide(f"<{''.join(characters)}>") == "<[hidden]>"


@given(st.text(st.sampled_from("aA1%25\\ux&#;=3dqéo +\0\n:,[]"), max_size=60))
def test_where_the_plain_bytes_stand_is_known_of_the_same_bytes(text: str) -> None:
    known = plain(text.encode())

    assert known.data == plain_bytes(text.encode())
    for at in range(len(known.data)):
        start, end = known.span(at, at + 1)
        assert 0 <= start < end <= len(text.encode())


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (f"Bearer {TOKEN}", TOKEN),
        (f"token={TOKEN}", TOKEN),
        (f"GenieKey {TOKEN}", TOKEN),
        (f"SSWS {TOKEN}", TOKEN),
        (f"Token token={TOKEN}", TOKEN),
        (f'Digest username="ann", response="{TOKEN}"', TOKEN),
        (f"session=abcdef1234; csrf={TOKEN}", TOKEN),
        (f"session={TOKEN}; csrf=abcdef1234", TOKEN),
        (f"ann:{TOKEN}", TOKEN),
        (f"https://ann:{TOKEN}@pager.example/", TOKEN),
        (f'{{"key": "{TOKEN}"}}', TOKEN),
        (f"Basic {b64encode(b'ann:pass-word-1').decode()}", "ann:pass-word-1"),
        (f"Basic {b64encode(b'ann:pass-word-1').decode()}", "pass-word-1"),
    ],
)
def test_the_credentials_in_a_header_are_secret_by_themselves(value: str, shown: str) -> None:
    assert SecretMask([value]).hide(f"bad credentials <{shown}>.") == "bad credentials <[hidden]>."


def test_what_is_too_short_for_a_secret_blackens_nothing() -> None:
    assert SecretMask(["", "a", "abcde"]).hide("abcde is not a secret") == "abcde is not a secret"


def test_of_two_secrets_one_of_which_is_in_the_other_none_is_half_shown() -> None:
    assert SecretMask([TOKEN, f"{TOKEN}-more"]).hide(f"<{TOKEN}-more>") == "<[hidden]>"


@pytest.mark.parametrize("status", [b"200 OK", b"500 Oh", b"410 Gone"])
def test_no_field_of_an_outcome_shows_what_the_endpoint_was_sent(
    make_sender: Callable[..., Sender], make_request: Callable[..., WebhookRequest], status: bytes
) -> None:
    shown = f"{TOKEN} and old-secret-1".encode()
    body = b"." * 1010 + shown
    answer = b"HTTP/1.1 %b\r\nSentry-Hook-Error: %b\r\nSentry-Hook-Project: x-%b\r\nContent-Length: %d\r\n\r\n%b"
    with serving(answering(answer % (status, shown, shown, len(body), body))) as server:
        request = make_request(
            server.url, custom_headers=(("X-Key", f"Bearer {TOKEN}"),), other_secrets=("old-secret-1",)
        )
        outcome = make_sender().send(request)

    assert (outcome.error_id, outcome.project_id) == ("[hidden] and [hidden]", "x-[hidden] and [hidden]")
    assert TOKEN[:4] not in repr(outcome)
    assert "old-" not in repr(outcome)


def test_a_bug_is_logged_with_where_it_happened_and_without_the_secret_in_its_text(
    make_sender: Callable[..., Sender],
    make_request: Callable[..., WebhookRequest],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise ValueError(f"cannot use {TOKEN}")

    monkeypatch.setattr(Sender, "_attempt", fail)
    with structlog.testing.capture_logs() as lines:
        outcome = make_sender().send(make_request("http://127.0.0.1:1/", secrets=(TOKEN,)))

    (line,) = [line for line in lines if line["event"] == "attempt_crashed"]
    assert outcome.error_class is ErrorClass.INTERNAL
    assert "in fail" in line["traceback"]
    assert "ValueError: cannot use [hidden]" in line["traceback"]


@given(st.text(max_size=40), st.sampled_from(["", TOKEN[:5], TOKEN[9:]]))
def test_a_text_without_a_secret_stays_as_it_is(text: str, part: str) -> None:
    assume(not any(text.lower().endswith(TOKEN[:count]) for count in range(4, 6)))

    assert SecretMask([TOKEN]).hide(f"{text}{part} ok.") == f"{text}{part} ok."
