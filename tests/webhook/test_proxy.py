"""Requests through an egress proxy go to the checked address, and its own faults are not the endpoint's failure."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from eventstore.errors import ShortageError
from tests.webhook.connect_proxy import proxying
from tests.webhook.servers import OK, answering, serving
from webhook import ErrorClass, OutcomeKind, Proxy, Sender, Timeouts, WebhookRequest

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    MakeSender = Callable[..., Sender]
    MakeRequest = Callable[..., WebhookRequest]

UNHURRIED = Timeouts(connect_s=30.0, read_s=30.0, total_s=60.0)


def through(port: int, credentials: str = "", **options: Any) -> Proxy:
    return Proxy.from_url(f"http://{credentials}127.0.0.1:{port}", **{"is_by_name": False} | options)


def test_the_proxy_is_asked_for_the_checked_address_and_tls_is_with_the_endpoint(
    make_sender: MakeSender, make_request: MakeRequest, certificate: Path, server_tls: ssl.SSLContext
) -> None:
    with serving(answering(OK), server_tls) as server, proxying() as proxy:
        sender = make_sender(
            ca_file=str(certificate), resolve=lambda _: ["127.0.0.1"], proxy=through(proxy.port, "ada:s%40cret@")
        )
        outcomes = [sender.send(make_request(server.tls_url, timeouts=UNHURRIED)) for _ in range(3)]

    assert [outcome.status_code for outcome in outcomes] == [200, 200, 200]
    assert proxy.requests == [
        f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
        "Proxy-Authorization: Basic YWRhOnNAY3JldA==\r\n\r\n".encode()
    ]
    assert b"Proxy-Authorization" not in b"".join(server.requests)
    assert server.connections == 1


def test_plain_http_goes_through_a_tunnel_too(make_sender: MakeSender, make_request: MakeRequest) -> None:
    with serving(answering(OK)) as server, proxying() as proxy:
        outcome = make_sender(proxy=through(proxy.port)).send(make_request(server.url, timeouts=UNHURRIED))

    assert outcome.status_code == 200
    assert proxy.requests[0].startswith(b"CONNECT 127.0.0.1:")


def test_a_blocked_address_is_not_even_asked_for(make_sender: MakeSender, make_request: MakeRequest) -> None:
    with proxying() as proxy:
        sender = make_sender(resolve=lambda _: ["10.0.0.1"], proxy=through(proxy.port))
        outcome = sender.send(make_request("https://pager.example/", timeouts=UNHURRIED))

    assert outcome.error_class is ErrorClass.BLOCKED
    assert proxy.connections == 0


def test_by_name_the_proxy_is_told_the_name_and_nothing_is_looked_up_here(
    make_sender: MakeSender, make_request: MakeRequest
) -> None:
    def no_lookup(host: str) -> list[str]:
        raise AssertionError(host)

    with serving(answering(OK)) as server, proxying(to_port=server.port) as proxy:
        sender = make_sender(resolve=no_lookup, proxy=through(proxy.port, is_by_name=True))
        outcome = sender.send(make_request("http://straße.test:81/", timeouts=UNHURRIED))
        blocked = sender.send(make_request("http://10.0.0.1/", timeouts=UNHURRIED))

    assert outcome.status_code == 200
    assert proxy.requests[0].startswith(b"CONNECT xn--strae-oqa.test:81 HTTP/1.1\r\n")
    assert (blocked.error_class, len(proxy.requests)) == (ErrorClass.BLOCKED, 1)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "answers CONNECT with 407"),
        (b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\n\r\n", "answers CONNECT with 429"),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", "answers CONNECT with 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login.example/\r\n\r\n", "answers CONNECT with 302"),
        (b"SSH-2.0-OpenSSH\r\n", "does not answer CONNECT as a proxy does"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", "does not answer CONNECT as a proxy does"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "does not answer CONNECT as a proxy does"),
        (b"", "does not answer CONNECT as a proxy does"),
    ],
)
def test_what_is_the_proxys_fault_is_no_outcome(
    make_sender: MakeSender, make_request: MakeRequest, answer: bytes, said: str
) -> None:
    with serving(answering(OK)) as server, proxying(answer) as proxy:
        sender = make_sender(proxy=through(proxy.port, "ada:s3cret@"))
        with pytest.raises(ShortageError, match=said) as caught:
            sender.send(make_request(server.url, timeouts=UNHURRIED))

    assert f"lacks a working egress proxy (127.0.0.1:{proxy.port}" in str(caught.value)
    assert "ada" not in str(caught.value)
    assert server.requests == []


def test_a_proxy_that_is_not_there_is_no_outcome(make_sender: MakeSender, make_request: MakeRequest) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(ShortageError, match="cannot be connected to: Connection refused"):
        make_sender(proxy=through(port)).send(make_request("http://127.0.0.1:9/", timeouts=UNHURRIED))


@pytest.mark.parametrize(
    ("status", "kind", "error_class"),
    [
        ("502 Bad Gateway", OutcomeKind.TIMED_OUT, ErrorClass.CONNECT),
        ("503 Service Unavailable", OutcomeKind.TIMED_OUT, ErrorClass.CONNECT),
        ("504 Gateway Timeout", OutcomeKind.TIMED_OUT, ErrorClass.CONNECT_TIMEOUT),
        ("403 Forbidden", OutcomeKind.BLOCKED, ErrorClass.BLOCKED),
    ],
)
def test_where_the_proxy_did_not_get_through_the_endpoint_counts_as_not_reached(
    make_sender: MakeSender, make_request: MakeRequest, status: str, kind: OutcomeKind, error_class: ErrorClass
) -> None:
    with proxying(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as proxy:
        outcome = make_sender(proxy=through(proxy.port)).send(make_request("http://127.0.0.1:9/", timeouts=UNHURRIED))

    assert (outcome.kind, outcome.error_class) == (kind, error_class)
    assert f"the proxy 127.0.0.1:{proxy.port}" in outcome.detail


def test_a_proxy_shows_no_credentials() -> None:
    assert "s3cret" not in repr(Proxy.from_url("http://ada:s3cret@[::1]:3128", is_by_name=False))
    assert Proxy.from_url("http://ada:s3cret@[::1]:3128", is_by_name=False).name == "[::1]:3128"
