"""How a socket without TLS waits: shortly by its own time-out, for longer by poll(), which keeps the moment."""

from __future__ import annotations

import select
import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from webhook import deadline_socket
from webhook.deadline_socket import DeadlineExceeded, DeadlineTcpSocket, Exchange, carrying

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MINUTE_S = 60.0


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[DeadlineTcpSocket, socket.socket]]:
    """One of ours and its peer, where a short wait is over at once."""
    monkeypatch.setattr(deadline_socket, "_SHORT_S", 0.000001)
    ours, peer = socket.socketpair()
    with DeadlineTcpSocket(fileno=ours.detach()) as mine, peer:
        yield mine, peer


def while_polling(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> list[float]:
    """Call something as soon as poll() is called; return the milliseconds that it is called with."""
    waits_ms: list[float] = []
    real = select.poll

    class Poll:
        def __init__(self) -> None:
            self._poll = real()

        def register(self, *what: Any) -> None:
            self._poll.register(*what)

        def poll(self, timeout_ms: float) -> list[tuple[int, int]]:
            waits_ms.append(timeout_ms)
            happens()
            return self._poll.poll(min(timeout_ms, 1000.0))

    monkeypatch.setattr(select, "poll", Poll)
    return waits_ms


def fill(carrier: socket.socket) -> None:
    """Send until there is no room for more."""
    carrier.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            socket.socket.send(carrier, bytes(100_000))
    carrier.setblocking(True)


def test_what_does_not_come_soon_is_waited_for_until_the_read_time_is_over(
    pair: tuple[DeadlineTcpSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, peer = pair
    waits_ms = while_polling(monkeypatch, lambda: peer.send(b"late"))

    with carrying(Exchange(time.monotonic() + 10 * MINUTE_S, MINUTE_S, MINUTE_S)) as exchange:
        data = mine.recv(10)

    assert (data, exchange.received_bytes) == (b"late", 4)
    assert [0 < wait_ms <= MINUTE_S * 1000 for wait_ms in waits_ms] == [True]


def test_a_peer_that_reads_late_is_waited_for_until_the_request_is_over(
    pair: tuple[DeadlineTcpSocket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, peer = pair
    fill(mine)
    waits_ms = while_polling(monkeypatch, lambda: peer.recv(10_000_000))

    with carrying(Exchange(time.monotonic() + MINUTE_S, MINUTE_S, MINUTE_S)):
        mine.sendall(b"more")

    assert waits_ms
    assert all(0 < wait_ms <= MINUTE_S * 1000 for wait_ms in waits_ms)


@pytest.mark.parametrize(("total_s", "error"), [(MINUTE_S, TimeoutError), (0.005, DeadlineExceeded)])
def test_what_does_not_come_at_all_ends_with_the_read_time_or_with_the_request(
    pair: tuple[DeadlineTcpSocket, socket.socket], total_s: float, error: type[TimeoutError]
) -> None:
    mine, _peer = pair

    with (
        carrying(Exchange(time.monotonic() + total_s, MINUTE_S, 0.01)),
        pytest.raises(TimeoutError) as raised,
    ):
        mine.recv(10)

    assert type(raised.value) is error


def test_the_kernels_own_time_out_is_short_however_long_one_may_wait() -> None:
    ours, peer = socket.socketpair()
    with DeadlineTcpSocket(fileno=ours.detach()) as mine, peer:
        peer.send(b"soon")
        with carrying(Exchange(time.monotonic() + MINUTE_S, MINUTE_S, MINUTE_S)):
            mine.recv(10)
        kept = mine.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)

    seconds, microseconds = struct.unpack("ll", kept)
    assert 0 < seconds + microseconds / 1e6 <= 0.21
