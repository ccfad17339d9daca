"""Sockets that know when the request they carry has to be over.

A socket's time-out bounds one operation, so a peer that sends a byte now and then holds
a thread for as long as it likes. Here each operation gets no more than what is left of the whole request, and
a pooled connection follows the deadline of whichever request it carries at the moment.
"""

from __future__ import annotations

import select
import socket
import struct
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import ReadableBuffer

    from webhook.timeouts import Timeouts

# poll() counts in milliseconds, so that a wait can end a hair before the deadline that it waited for.
_CLOCK_GRAIN_S: Final = 0.002

# What takes longer is waited for with poll(): the kernel keeps a socket's own time-out of seconds in steps of a quarter
# of one (timers of wheels, linux/kernel/time/timer.c, HZ = 250), so that fifty of them would wake in one moment.
_SHORT_S: Final = 0.2

_TIMEVAL: Final = struct.Struct("ll")

# Of struct tcp_info (linux/tcp.h): tcpi_last_data_sent and tcpi_last_data_recv, milliseconds ago.
_LAST_DATA: Final = struct.Struct("=44xI4xI")
_JIFFY_MS: Final = 10  # the longest that Linux counts them in


class DeadlineExceeded(TimeoutError):  # noqa: N818 - says what happened, as TimeoutError's siblings do
    """The whole request has taken as long as it may."""


@dataclass(slots=True)
class Exchange:
    """One request on its way: how long it may take, and what has happened to it so far.

    `ends_at_s` is on time.monotonic's scale; `connect_s` bounds name, TCP and TLS together, `read_s` the
    silence between two pieces of the answer. `answered_after_ms` is how long the peer took to begin its answer,
    None = it has not.
    """

    ends_at_s: float
    connect_s: float
    read_s: float
    connect_ends_at_s: float = 0.0
    received_bytes: int = 0
    sent_at_s: float = 0.0
    answered_after_ms: float | None = None

    @classmethod
    def starting_now(cls, timeouts: Timeouts) -> Exchange:
        """Return one that begins at this moment."""
        return cls(time.monotonic() + timeouts.total_s, timeouts.connect_s, timeouts.read_s)

    @property
    def is_over(self) -> bool:
        """Return whether the deadline has passed."""
        return time.monotonic() >= self.ends_at_s - _CLOCK_GRAIN_S

    def remaining_s(self) -> float:
        """Return the seconds left of the whole request; raise DeadlineExceeded when there are none."""
        left_s = self.ends_at_s - time.monotonic()
        if left_s <= 0:
            raise DeadlineExceeded("the request took longer than its total time")
        return left_s

    def read_budget_s(self) -> float:
        """Return the seconds that the next read may take."""
        return min(self.read_s, self.remaining_s())

    def note_sent(self) -> None:
        """Note that a piece of the request is on its way."""
        self.sent_at_s = time.monotonic()

    def note_received(self, carrier: socket.socket, count: int) -> None:
        """Note so many bytes of the answer."""
        if not self.received_bytes:
            self.answered_after_ms = _answered_after_ms(carrier, self.sent_at_s)
        self.received_bytes += count

    def start_dialing(self) -> None:
        """Note that a new connection is made, for which connect_s counts from now on."""
        self.connect_ends_at_s = time.monotonic() + self.connect_s

    def dial_budget_s(self) -> float:
        """Return the seconds left for connecting; raise TimeoutError or DeadlineExceeded if none are."""
        left_s = min(self.connect_ends_at_s - time.monotonic(), self.remaining_s())
        if left_s <= 0:
            raise TimeoutError("no connection within the connect time")
        return left_s

    @contextmanager
    def sharing_dial_time(self, count: int) -> Iterator[None]:
        """Limit the block to an even share of what is left for connecting, as one of so many tries."""
        ends_at_s = self.connect_ends_at_s
        self.connect_ends_at_s = time.monotonic() + self.dial_budget_s() / count
        try:
            yield
        finally:
            self.connect_ends_at_s = ends_at_s


class _Current(threading.local):
    exchange: Exchange | None = None


_current: Final = _Current()


@contextmanager
def carrying(exchange: Exchange) -> Iterator[Exchange]:
    """Make `exchange` the one that all sockets used by this thread obey, for the length of the block."""
    before = _current.exchange
    _current.exchange = exchange
    try:
        yield exchange
    finally:
        _current.exchange = before


def carried_exchange() -> Exchange | None:
    """Return the request that this thread carries, if there is one."""
    return _current.exchange


def current_exchange() -> Exchange:
    """Return the request that this thread carries; a socket of this module is of no use without one."""
    exchange = _current.exchange
    if exchange is None:
        raise RuntimeError("a deadline socket was used outside of a request")
    return exchange


class DeadlineTcpSocket(socket.socket):
    """A TCP socket whose operations end with the request that they serve; once it is connected the kernel keeps time.

    Python's own time-outs make a request seven system calls more, and release the interpreter at each of them,
    for which this thread has to wait again while others are busy.
    """

    __slots__ = ("_is_timed_by_kernel",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_timed_by_kernel = False

    def connect(self, address: Any) -> None:
        """Connect within what the caller has set as this address's share of the time."""
        with _translating(current_exchange()):
            super().connect(address)
        super().settimeout(None)
        self._is_timed_by_kernel = True

    def settimeout(self, value: float | None, /) -> None:
        """Set the share of the time for connecting; afterwards each operation gets what is left."""
        if not self._is_timed_by_kernel:
            super().settimeout(value)

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive within read_s and the deadline, and count."""
        exchange = current_exchange()
        data = self.receive_until(bufsize, time.monotonic() + exchange.read_budget_s(), exchange, flags)
        exchange.note_received(self, len(data))
        return data

    def receive_while_dialing(self, bufsize: int) -> bytes:
        """Receive what a proxy says within the connect time: it is not part of the answer, and does not count."""
        exchange = current_exchange()
        return self.receive_until(bufsize, time.monotonic() + exchange.dial_budget_s(), exchange)

    def receive_until(self, bufsize: int, until_s: float, exchange: Exchange, flags: int = 0) -> bytes:
        """Receive until a moment of time.monotonic(), and count nothing: it may be TLS's own, or a proxy's."""
        while True:
            self._limit(socket.SO_RCVTIMEO, until_s)
            try:
                return socket.socket.recv(self, bufsize, flags)
            except BlockingIOError:
                self._wait(select.POLLIN, until_s, exchange)

    def receive_at_once(self, bufsize: int) -> bytes:
        """Receive what has come; raise BlockingIOError if that is nothing."""
        return socket.socket.recv(self, bufsize, socket.MSG_DONTWAIT)

    def is_quiet(self) -> bool:
        """Return whether nothing has come, and the peer has not closed it; nothing is waited for."""
        try:
            socket.socket.recv(self, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Send some of it within the deadline."""
        exchange = current_exchange()
        until_s = time.monotonic() + exchange.remaining_s()
        while True:
            self._limit(socket.SO_SNDTIMEO, until_s)
            try:
                count = socket.socket.send(self, data, flags)
            except BlockingIOError:
                self._wait(select.POLLOUT, until_s, exchange)
            else:
                exchange.note_sent()
                return count

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Send all within the deadline: a reader that stalls is bounded by the total time alone."""
        # Piece by piece, each with what is left: Python's own would give each piece the whole time again.
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self.send(rest, flags) :]

    def _limit(self, option: int, until_s: float) -> None:
        left_us = max(1, int(min(until_s - time.monotonic(), _SHORT_S) * 1e6))  # zero would mean no limit
        self.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(*divmod(left_us, 1_000_000)))

    def _wait(self, event: int, until_s: float, exchange: Exchange) -> None:
        """Wait until it is ready; raise TimeoutError or DeadlineExceeded if that does not come in time."""
        watch = select.poll()
        watch.register(self, event)
        left_ms = max(0.0, until_s - time.monotonic()) * 1000
        if not watch.poll(left_ms):
            # Not from the system's own error: "resource temporarily unavailable" would be what its owner reads.
            raise meaning_of(TimeoutError("nothing came within the read time"), exchange) from None


def _answered_after_ms(carrier: socket.socket, sent_at_s: float) -> float:
    """Return how long a peer took, by the kernel's clock: a thread of a busy interpreter learns of an answer late."""
    since_sent_ms = (time.monotonic() - sent_at_s) * 1000
    if sys.platform != "linux":
        return since_sent_ms
    try:
        information = carrier.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA.size)
        sent_ms, received_ms = _LAST_DATA.unpack(information)
    except (OSError, struct.error):  # no TCP: ours will do
        return since_sent_ms
    # A kernel that does not count them gives zeros.
    return float(max(0, sent_ms - received_ms)) if sent_ms > since_sent_ms - _JIFFY_MS else since_sent_ms


@contextmanager
def _translating(exchange: Exchange) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise meaning_of(error, exchange) from error


def meaning_of(error: TimeoutError, exchange: Exchange) -> TimeoutError:
    """Return what a time-out means: DeadlineExceeded where the whole request is over, else the error itself."""
    return DeadlineExceeded("the request took longer than its total time") if exchange.is_over else error
