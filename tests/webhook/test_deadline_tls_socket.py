"""Over TLS too the deadline is looked at between any two pieces, and what is not part of an answer has an end."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import pytest

from tests.webhook.servers import OK, answering, serving
from webhook import ErrorClass, Sender, Timeouts, WebhookRequest, deadline_tls_socket
from webhook.deadline_socket import DeadlineTcpSocket, Exchange, carrying
from webhook.deadline_tls_socket import DeadlineTlsSocket
from webhook.tls import tls_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.webhook.servers import Server

    MakeSender = Callable[..., Sender]
    MakeRequest = Callable[..., WebhookRequest]

UNHURRIED = Timeouts(connect_s=30.0, read_s=30.0, total_s=60.0)


@pytest.fixture
def serve_tickets(
    certificate: Path, server_tls: ssl.SSLContext
) -> Callable[[int], AbstractContextManager[tuple[Server, Path]]]:
    """Return what runs a server that sends so many tickets of a quarter of a kilobyte before its first answer."""

    @contextmanager
    def serve(tickets: int) -> Iterator[tuple[Server, Path]]:
        server_tls.num_tickets = tickets
        with serving(answering(OK), server_tls) as server:
            yield server, certificate

    return serve


@pytest.mark.parametrize(("tickets", "error_class"), [(20, None), (2000, ErrorClass.TLS)])
def test_an_endpoint_may_send_some_tickets_and_not_as_many_as_it_likes(
    make_sender: MakeSender,
    make_request: MakeRequest,
    serve_tickets: Callable[[int], AbstractContextManager[tuple[Server, Path]]],
    tickets: int,
    error_class: ErrorClass | None,
) -> None:
    with serve_tickets(tickets) as (server, ca_file):
        sender = make_sender(ca_file=str(ca_file))
        outcomes = [sender.send(make_request(server.tls_url, timeouts=UNHURRIED)) for _ in range(2)]

    assert [outcome.error_class for outcome in outcomes] == [error_class] * 2
    assert all(("TLS's own" in outcome.detail) == (error_class is not None) for outcome in outcomes)


class _EndlessCarrier:
    """A peer from which there is always something to receive; each piece takes 20 seconds of a clock of its own."""

    def __init__(self) -> None:
        self.now_s = time.monotonic()
        self.pieces = 0

    def monotonic(self) -> float:
        """Return its time."""
        return self.now_s

    def sendall(self, data: bytes) -> None:
        """Take whatever is sent."""

    def receive_until(self, bufsize: int, until_s: float, exchange: Exchange) -> bytes:
        """Return the next byte of a record that never becomes whole."""
        self.now_s += 20.0
        self.pieces += 1
        assert self.pieces < 100, "it is read on though the time is over"
        return b"\x16\x03\x03\x40\x00"[self.pieces - 1 : self.pieces] or b"\x00"


def test_a_peer_that_always_has_something_to_send_is_left_when_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    carrier = _EndlessCarrier()
    monkeypatch.setattr(deadline_tls_socket, "time", carrier)
    connection = DeadlineTlsSocket(cast("DeadlineTcpSocket", carrier), tls_context(), "pager.example")
    exchange = Exchange.starting_now(UNHURRIED)
    exchange.start_dialing()

    with carrying(exchange), pytest.raises(TimeoutError, match="within the time"):
        connection.do_handshake()

    assert carrier.pieces == 2  # of the 30 seconds there are to connect
