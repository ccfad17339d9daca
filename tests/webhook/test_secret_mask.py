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
from hypothesis import given
from hypothesis import strategies as st

from tests.webhook.servers import answering, serving
from webhook import ErrorClass, SecretMask
from webhook.secret_mask import HIDDEN
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
}


@pytest.mark.parametrize("form", list(FORMS))
def test_a_secret_is_hidden_in_each_form(form: str) -> None:
    assert SecretMask([SECRET]).hide(f"you sent <{FORMS[form]}>!") == "you sent <[hidden]>!"


@given(st.binary(max_size=5), st.binary(max_size=5))
def test_base64_of_what_holds_a_secret_is_hidden_whatever_stands_around_it(before: bytes, behind: bytes) -> None:
    for encode in (b64encode, urlsafe_b64encode):
        found = SecretMask([TOKEN]).hide(encode(before + TOKEN.encode() + behind).decode())

        assert "[hidden]" in found
        assert len(found.replace("[hidden]", "")) <= 4 * 6


@given(st.sampled_from(sorted(FORMS.values())), st.integers(0, 1100), st.integers(4, 60))
def test_no_form_of_a_secret_is_kept_wherever_the_excerpt_is_cut(form: str, before: int, shown: int) -> None:
    mask = SecretMask([SECRET])
    whole = mask.excerpt(("." * before + form + "!" * 50).encode(), 1024)
    cut_by_the_endpoint = mask.excerpt(("." * before + form[:shown]).encode(), 1024)

    for excerpt in (whole, cut_by_the_endpoint):
        assert form[:4] not in excerpt
        assert len(excerpt) <= 1024


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (f"Bearer {TOKEN}", TOKEN),
        (f"token={TOKEN}", TOKEN),
        (f"Basic {b64encode(b'ann:pass-word-1').decode()}", "ann:pass-word-1"),
        (f"Basic {b64encode(b'ann:pass-word-1').decode()}", "pass-word-1"),
    ],
)
def test_the_credentials_in_a_header_are_secret_by_themselves(value: str, shown: str) -> None:
    assert SecretMask([value]).hide(f"bad credentials: {shown}.") == "bad credentials: [hidden]."


def test_what_is_too_short_for_a_secret_blackens_nothing() -> None:
    assert SecretMask(["", "a", "abcde"]).hide("abcde is no secret") == "abcde is no secret"


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


@given(
    st.lists(st.sampled_from([SECRET, SECRET[:3], SECRET[:5], SECRET[2:], SECRET.upper(), "ok", " ", "ü"])).map("".join)
)
def test_a_text_is_looked_through_once_only_where_no_form_and_no_part_of_one_is_in_it(text: str) -> None:
    mask = SecretMask([SECRET])
    hidden = text
    for form in mask._forms:
        hidden = hidden.replace(form, HIDDEN)

    assert mask.hide(text) == mask._without_cut_end(hidden)
