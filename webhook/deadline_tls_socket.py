"""TLS over a socket that knows its deadline: in pieces, so that the deadline is looked at between any two of them.

Where OpenSSL has the socket itself it reads on for as long as something comes that is not data of the application's. An
endpoint that sent tickets of TLS 1.3 without a pause held a thread of two seconds for as long as it liked, with a core.
"""

from __future__ import annotations

import ssl
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from webhook.deadline_socket import current_exchange, meaning_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from webhook.deadline_socket import DeadlineTcpSocket, Exchange

_Result = TypeVar("_Result")

# Each buffer grows to a third more than what is put into it, and stays so for as long as the connection is kept.
_PIECE_BYTES: Final = 4096
_RECORD_BYTES: Final = 16_384  # the longest of TLS; what is sent is as long as that only with a long body
# So much more than it brings of the answer may come between a request and the end of its answer: each record has 22
# bytes around it, and up to 16 kB of padding (RFC 8446, section 5.4). A ticket is a quarter of a kilobyte.
_OVERHEAD_BYTES: Final = 65_536
_OVERHEAD_PER_BYTE: Final = 32  # records of a single byte have 22


class DeadlineTlsSocket:
    """A connection whose operations end with the request that they serve; `host` is whose certificate it must be."""

    __slots__ = ("_carrier", "_incoming", "_outgoing", "_overhead_bytes_left", "_tls")

    def __init__(self, carrier: DeadlineTcpSocket, context: ssl.SSLContext, host: str) -> None:
        self._carrier = carrier
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._overhead_bytes_left = _OVERHEAD_BYTES

    def do_handshake(self) -> None:
        """Shake hands within the connect time, which counts for the whole handshake and not for each read."""
        exchange = current_exchange()
        try:
            self._drive(self._tls.do_handshake, time.monotonic() + exchange.dial_budget_s(), exchange)
        except ssl.SSLError:
            with suppress(OSError):
                self._flush()  # the alert: it is how the peer hears what was wrong
            raise

    def recv(self, bufsize: int) -> bytes:
        """Receive within read_s and the deadline, and count; nothing at the end of the connection."""
        exchange = current_exchange()
        until_s = time.monotonic() + exchange.read_budget_s()
        try:
            data = self._drive(partial(self._read, bufsize), until_s, exchange)
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            data = b""
        self._overhead_bytes_left = min(_OVERHEAD_BYTES, self._overhead_bytes_left + _OVERHEAD_PER_BYTE * len(data))
        exchange.note_received(self._carrier, len(data))
        return data

    def sendall(self, data: bytes) -> None:
        """Send all within the deadline: a reader that stalls is bounded by the total time alone."""
        exchange = current_exchange()
        self._overhead_bytes_left = _OVERHEAD_BYTES
        rest = memoryview(data)
        while rest:
            written = self._drive(partial(self._tls.write, rest[:_RECORD_BYTES]), exchange.ends_at_s, exchange)
            rest = rest[written:]

    def is_quiet(self) -> bool:
        """Return whether nothing has come, and the peer has not closed it; nothing is waited for.

        A socket under TLS can't be peeked at, and a ticket of TLS 1.3 makes it readable: it is read from, by which
        OpenSSL takes the tickets in, and which finds what it has decrypted already.
        """
        for _ in range(_OVERHEAD_BYTES // _PIECE_BYTES):  # one whose tickets do not end is not quiet
            try:
                self._read(1)
            except ssl.SSLWantReadError:
                pass
            except OSError:
                return False
            else:
                return False
            try:
                piece = self._carrier.receive_at_once(_PIECE_BYTES)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not piece:
                return False
            self._incoming.write(piece)
        return False

    def close(self) -> None:
        """Close it, whatever is under way."""
        self._carrier.close()

    def _read(self, bufsize: int) -> bytes:
        if not self._incoming.pending and not self._incoming.eof and not self._tls.pending():
            raise ssl.SSLWantReadError  # as OpenSSL would, only later
        return self._tls.read(bufsize)

    def _drive(self, act: Callable[[], _Result], until_s: float, exchange: Exchange) -> _Result:
        """Run something of OpenSSL, and carry what it wants to send and to receive, until a moment."""
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                self._flush()
                self._take_in(until_s, exchange)
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._carrier.sendall(self._outgoing.read())

    def _take_in(self, until_s: float, exchange: Exchange) -> None:
        if time.monotonic() >= until_s:
            raise meaning_of(TimeoutError("nothing but TLS's own came within the time"), exchange)
        piece = self._carrier.receive_until(_PIECE_BYTES, until_s, exchange)
        if not piece:
            self._incoming.write_eof()
            return
        self._overhead_bytes_left -= len(piece)
        if self._overhead_bytes_left < 0:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "the peer sends more of TLS's own than of an answer")
        self._incoming.write(piece)
