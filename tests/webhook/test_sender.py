from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.webhook.servers import OK, Client, answering, serving
from webhook import (
    AddressGuard,
    ErrorClass,
    EventNameError,
    FakeSender,
    Outcome,
    OutcomeKind,
    RequestInvalidError,
    Sender,
    Timeouts,
    WebhookRequest,
    WebhookSender,
    parse_custom_headers,
    sentry_signature,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeSender = Callable[..., Sender]
    MakeRequest = Callable[..., WebhookRequest]


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body


def headers_on_the_wire(request: bytes) -> list[tuple[str, str]]:
    head = request.partition(b"\r\n\r\n")[0].decode("latin-1")
    return [(name, value) for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])]


def test_a_2xx_answer_is_a_success(sender: Sender, make_request: MakeRequest) -> None:
    with serving(answering(OK)) as server:
        outcome = sender.send(make_request(server.url, body=b'{"a":1}'))

    assert (outcome.kind, outcome.error_class, outcome.status_code) == (OutcomeKind.SUCCESS, None, 200)
    assert outcome.response_body == "ok"
    assert outcome.duration_ms > 0
    assert server.requests[0].startswith(b"POST /hook HTTP/1.1\r\n")
    assert server.requests[0].endswith(b'\r\n\r\n{"a":1}')


def test_what_is_logged_is_what_was_sent_but_for_custom_values(sender: Sender, make_request: MakeRequest) -> None:
    custom = parse_custom_headers(["X-Token: s3cret-value", "user-agent: mine", "Cookie: a=b"])
    with serving(answering(OK)) as server:
        outcome = sender.send(make_request(server.url, custom_headers=custom))

    sent = headers_on_the_wire(server.requests[0])
    hidden = {"X-Token", "Cookie"}
    assert list(outcome.request_headers) == [(n, "[hidden]" if n in hidden else v) for n, v in sent]
    assert ("X-Token", "s3cret-value") in sent
    assert ("Sentry-Hook-Signature", sentry_signature("s3cret", b"{}")) in sent


def test_each_attempt_has_a_request_id_of_its_own_and_the_same_delivery_id(
    sender: Sender, make_request: MakeRequest
) -> None:
    with serving(answering(OK)) as server:
        outcomes = [sender.send(make_request(server.url)) for _ in range(2)]

    sent = [dict(headers_on_the_wire(request)) for request in server.requests]
    assert [headers["Request-ID"] for headers in sent] == [outcome.request_id for outcome in outcomes]
    assert outcomes[0].request_id != outcomes[1].request_id
    assert {headers["webhook-id"] for headers in sent} == {"delivery-1"}


def test_timestamps_come_from_the_injected_clock(make_sender: MakeSender, make_request: MakeRequest) -> None:
    sender = make_sender(now=lambda: datetime(2025, 2, 1, 10, 0, tzinfo=UTC))
    with serving(answering(answer("429 Slow", "Retry-After: Sat, 01 Feb 2025 10:01:00 GMT"))) as server:
        outcome = sender.send(make_request(server.url))

    assert dict(outcome.request_headers)["Sentry-Hook-Timestamp"] == "1738404000"
    assert outcome.error_class is ErrorClass.RATE_LIMITED
    assert outcome.retry_after_s == 60.0


def test_a_redirect_is_final_and_not_followed(sender: Sender, make_request: MakeRequest) -> None:
    with serving(answering(OK)) as other:
        moved = answer("302 Found", f"Location: {other.url}")
        with serving(answering(moved)) as server:
            outcome = sender.send(make_request(server.url))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.FAILED, ErrorClass.REDIRECT)
    assert outcome.status_code == 302
    assert other.requests == []


def test_cookies_of_an_answer_are_not_sent_back(sender: Sender, make_request: MakeRequest) -> None:
    with serving(answering(answer("200 OK", "Set-Cookie: a=b"))) as server:
        sender.send(make_request(server.url))
        sender.send(make_request(server.url))

    assert b"cookie" not in server.requests[1].lower()


def test_the_endpoints_references_are_taken_as_a_pair(sender: Sender, make_request: MakeRequest) -> None:
    both = answer("400 Bad", "Sentry-Hook-Error: e1", "Sentry-Hook-Project: p1", body=b"broken")
    one = answer("400 Bad", "Sentry-Hook-Error: e1")
    long = answer("400 Bad", "Sentry-Hook-Error: e1", f"Sentry-Hook-Project: {'p' * 101}")
    with serving(answering(both, one, long)) as server:
        outcomes = [sender.send(make_request(server.url)) for _ in range(3)]

    assert [(outcome.error_id, outcome.project_id) for outcome in outcomes] == [
        ("e1", "p1"),
        (None, None),
        (None, None),
    ]
    assert outcomes[0].response_body == "broken"


def test_the_excerpt_has_1024_characters_of_whatever_bytes_came(sender: Sender, make_request: MakeRequest) -> None:
    with serving(answering(answer("500 Oops", body=b"\xff" + "é".encode() * 3000))) as server:
        outcome = sender.send(make_request(server.url))

    assert outcome.response_body == "\ufffd" + "é" * 1023


def test_environment_proxies_and_ca_bundles_do_not_matter(
    sender: Sender, make_request: MakeRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent")
    with serving(answering(OK)) as server:
        outcome = sender.send(make_request(server.url))

    assert outcome.kind is OutcomeKind.SUCCESS


def test_a_blocked_address_is_an_outcome_and_nothing_is_sent(make_request: MakeRequest) -> None:
    sender = Sender(AddressGuard(allow_http=True))
    with serving(answering(OK)) as server:
        outcome = sender.send(make_request(server.url))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.BLOCKED, ErrorClass.BLOCKED)
    assert "loopback" in outcome.detail
    assert server.connections == 0


def test_a_name_that_answers_one_private_address_is_blocked(make_sender: MakeSender, make_request: MakeRequest) -> None:
    sender = make_sender(resolve=lambda _: ["127.0.0.1", "10.0.0.1"])
    with serving(answering(OK)) as server:
        outcome = sender.send(make_request(f"http://rebind.example:{server.port}/"))

    assert outcome.kind is OutcomeKind.BLOCKED
    assert server.connections == 0


def test_a_name_is_resolved_once_for_each_connection(make_sender: MakeSender, make_request: MakeRequest) -> None:
    lookups: list[str] = []

    def rebind(host: str) -> list[str]:
        lookups.append(host)
        return ["127.0.0.1"] if len(lookups) == 1 else ["10.0.0.1"]

    sender = make_sender(resolve=rebind)
    with serving(answering(OK)) as server:
        outcome = sender.send(make_request(f"http://rebind.example:{server.port}/"))

    assert outcome.kind is OutcomeKind.SUCCESS
    assert lookups == ["rebind.example"]


def test_the_next_address_is_tried_when_one_refuses(make_sender: MakeSender, make_request: MakeRequest) -> None:
    sender = make_sender(resolve=lambda _: ["127.0.0.2", "127.0.0.1"])
    with serving(answering(OK)) as server:
        outcome = sender.send(make_request(f"http://two.example:{server.port}/"))

    assert outcome.kind is OutcomeKind.SUCCESS


def test_another_spelling_of_loopback_is_blocked_at_connect_time(make_request: MakeRequest) -> None:
    sender = Sender(AddressGuard(allow_http=True))

    outcome = sender.send(make_request("http://2130706433/"))

    assert outcome.kind is OutcomeKind.BLOCKED
    assert "127.0.0.1" in outcome.detail


def test_an_address_in_the_url_needs_no_resolver(make_sender: MakeSender, make_request: MakeRequest) -> None:
    def unused(host: str) -> list[str]:
        raise AssertionError(host)

    with serving(answering(OK)) as server:
        outcome = make_sender(resolve=unused).send(make_request(server.url))

    assert outcome.kind is OutcomeKind.SUCCESS


def test_an_unexpected_exception_is_an_internal_outcome_without_its_text(
    make_sender: MakeSender, make_request: MakeRequest
) -> None:
    def broken() -> datetime:
        raise LookupError("s3cret")

    outcome = make_sender(now=broken).send(make_request("http://127.0.0.1:9/"))

    assert (outcome.kind, outcome.error_class) == (OutcomeKind.FAILED, ErrorClass.INTERNAL)
    assert outcome.detail == "LookupError"


def test_nothing_secret_is_in_a_requests_repr_or_in_the_logs(
    sender: Sender, make_request: MakeRequest, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    custom = parse_custom_headers(["X-Token: s3cret-value"])

    def malformed_header(client: Client) -> None:
        client.read_request()
        client.sock.sendall(b"HTTP/1.1 200 OK\r\nno colon here\r\nContent-Length: 0\r\n\r\n")

    with serving(malformed_header) as server:
        key = b"s3cret-key-of-exactly-32-bytes-!"
        request = make_request(f"{server.url}/s3cret-path", custom_headers=custom, signing_key=key)
        outcome = sender.send(request)

    assert outcome.status_code == 200
    assert "s3cret" not in repr(request)
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"secrets": ()}, RequestInvalidError),
        ({"secrets": ("a", "")}, RequestInvalidError),
        ({"signing_key": b""}, RequestInvalidError),
        ({"signing_key": b"k" * 64}, RequestInvalidError),
        ({"delivery_id": "a.b"}, RequestInvalidError),
        ({"delivery_id": "a\r\nX: b"}, RequestInvalidError),
        ({"delivery_id": ""}, RequestInvalidError),
        ({"event_name": "nonsense"}, EventNameError),
    ],
)
def test_a_request_that_cannot_be_signed_or_named_is_refused(
    make_request: MakeRequest, fields: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        make_request("http://example.com/", **fields)


@pytest.mark.parametrize("limit_s", [0.0, -1.0, float("inf"), float("nan")])
def test_time_outs_are_finite_and_more_than_zero(limit_s: float) -> None:
    with pytest.raises(ValueError):
        Timeouts(total_s=limit_s)


def test_many_threads_share_one_sender(make_sender: MakeSender, make_request: MakeRequest) -> None:
    sender = make_sender(pool_connections=2)
    outcomes: list[Outcome] = []

    with serving(answering(OK)) as server:

        def send_some() -> None:
            outcomes.extend(sender.send(make_request(server.url)) for _ in range(20))

        threads = [threading.Thread(target=send_some) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.SUCCESS] * 120


def test_the_fake_sender_answers_its_script_and_remembers(make_request: MakeRequest) -> None:
    gone = Outcome(OutcomeKind.FAILED, ErrorClass.GONE, 410, 1.0, "gone: answered 410", "r")
    fake: WebhookSender = FakeSender([gone])
    request = make_request("https://example.com/")

    outcomes = [fake.send(request), fake.send(request)]

    assert [outcome.status_code for outcome in outcomes] == [410, 200]
    assert isinstance(fake, FakeSender)
    assert fake.requests == [request, request]
