"""How long the endpoint itself took, whatever we took to notice."""

from __future__ import annotations

import struct
import time
from typing import TYPE_CHECKING, cast

import pytest

from tests.webhook.servers import OK, Client, serving
from webhook.deadline_socket import Exchange

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from webhook import Sender, WebhookRequest

    MakeRequest = Callable[..., WebhookRequest]

LONG_AGO_S = 3600.0


class _Carrier:
    """A socket of which the kernel says when it last carried data, or says nothing of the kind."""

    def __init__(self, *, sent_ms: int = 0, received_ms: int = 0, error: OSError | None = None) -> None:
        self._information = struct.pack("=44xI4xI", sent_ms, received_ms)
        self._error = error

    def getsockopt(self, *_option: int) -> bytes:
        if self._error is not None:
            raise self._error
        return self._information


def answered_after_ms(carrier: _Carrier, *, sent_s_ago: float) -> float:
    exchange = Exchange(0.0, 5.0, 5.0, sent_at_s=time.monotonic() - sent_s_ago)
    exchange.note_received(cast("socket.socket", carrier), 10)
    assert exchange.answered_after_ms is not None
    return exchange.answered_after_ms


def test_an_answer_that_we_come_late_to_took_only_as_long_as_the_peer() -> None:
    an_hour_ms = int(LONG_AGO_S * 1000) + 1000
    carrier = _Carrier(sent_ms=an_hour_ms, received_ms=an_hour_ms - 20)

    assert answered_after_ms(carrier, sent_s_ago=LONG_AGO_S) == 20.0


@pytest.mark.parametrize(
    "carrier", [_Carrier(), _Carrier(error=OSError("no such option"))], ids=["zeros", "no such option"]
)
def test_where_the_kernel_does_not_tell_our_own_clock_does(carrier: _Carrier) -> None:
    assert answered_after_ms(carrier, sent_s_ago=LONG_AGO_S) >= LONG_AGO_S * 1000


def test_an_answer_that_began_before_the_request_was_sent_whole_took_no_time() -> None:
    assert answered_after_ms(_Carrier(sent_ms=100, received_ms=140), sent_s_ago=0.1) == 0.0


def test_only_the_first_piece_of_an_answer_counts() -> None:
    exchange = Exchange(0.0, 5.0, 5.0, sent_at_s=time.monotonic() - 0.1)
    exchange.note_received(cast("socket.socket", _Carrier(sent_ms=100, received_ms=70)), 10)
    exchange.note_received(cast("socket.socket", _Carrier(sent_ms=200, received_ms=0)), 10)

    assert (exchange.answered_after_ms, exchange.received_bytes) == (30.0, 20)


def test_of_a_real_answer_the_time_that_its_server_took_is_known(sender: Sender, make_request: MakeRequest) -> None:
    def takes_its_time(client: Client) -> None:
        while client.read_request():
            client.stopping.wait(0.1)
            client.sock.sendall(OK)

    with serving(takes_its_time) as server:
        for _ in range(2):  # dialed, and kept
            outcome = sender.send(make_request(server.url))

            assert outcome.answered_after_ms is not None
            assert 80 <= outcome.answered_after_ms <= outcome.duration_ms + 20


def test_of_no_answer_nothing_is_known(sender: Sender, make_request: MakeRequest) -> None:
    with serving(lambda client: client.sock.close()) as server:
        assert sender.send(make_request(server.url)).answered_after_ms is None
