"""The replies of a mail server, with an end: smtplib bounds each step only, and keeps every line that a server says."""

import socket
import time
from typing import Final

# RFC 5321 section 4.5.3.1.5 has 512 bytes a line. A server that greets without an end would fill the memory.
REPLIES_BYTES: Final = 65_536
_PIECE_BYTES: Final = 4096


class Replies:
    """What smtplib reads a server's lines from, in place of a file, which would wait for each piece of a line anew."""

    def __init__(self, connection: socket.socket, step_s: float, ends_at_s: float, bytes_left: int) -> None:
        self._connection = connection
        self._step_s = step_s
        self._ends_at_s = ends_at_s
        self.bytes_left = bytes_left
        self._pending = b""

    def readline(self, limit: int) -> bytes:
        """Return the next line, or as much of it as the limit; nothing at the end of the connection."""
        while b"\n" not in self._pending and len(self._pending) < limit:
            piece = self._receive()
            if not piece:
                break
            self._pending += piece
        end = self._pending.find(b"\n") + 1 or len(self._pending)
        line, self._pending = self._pending[: min(end, limit)], self._pending[min(end, limit) :]
        return line

    def close(self) -> None:
        """Do nothing: the socket is the conversation's."""

    def _receive(self) -> bytes:
        left_s = self._ends_at_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("the conversation timed out, though each of its steps did not")
        self._connection.settimeout(min(left_s, self._step_s))
        piece = self._connection.recv(_PIECE_BYTES)
        self._connection.settimeout(self._step_s)
        self.bytes_left -= len(piece)
        if self.bytes_left < 0:
            raise OSError(f"the server says more than {REPLIES_BYTES} bytes")
        return piece
