"""One connection to an endpoint: made through the guard, perhaps over TLS, and kept for as long as it is quiet."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING, Final

from webhook.deadline_socket import DeadlineExceeded, DeadlineTcpSocket, current_exchange
from webhook.deadline_tls_socket import DeadlineTlsSocket
from webhook.errors import ConnectFailed, ConnectTimedOut
from webhook.exception_table import is_lost

if TYPE_CHECKING:
    from webhook.answer_reader import AnswerReader
    from webhook.dialer import Dialer
    from webhook.target import Target

# An answer is a kilobyte. With 256 endpoints at once that send all they can, each piece more is 4 MB.
RECEIVE_BYTES: Final = 16_384


class Connection:
    """A socket that is connected, with what has to be known while it is kept."""

    __slots__ = ("_socket", "idle_since_s", "is_spent", "retires_at_s")

    def __init__(self, connected: DeadlineTcpSocket | DeadlineTlsSocket) -> None:
        self._socket = connected
        self.retires_at_s = 0.0
        self.idle_since_s = 0.0
        self.is_spent = False

    def send(self, request: bytes) -> None:
        """Send a whole request; one that was lost on the way may have been answered all the same."""
        try:
            self._socket.sendall(request)
        except OSError as error:
            if not is_lost(error):
                raise
            self.is_spent = True

    def receive(self, reader: AnswerReader) -> None:
        """Feed the reader; raise AnswerFault, or an OSError that is not an end of the connection."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except OSError as error:
            if not is_lost(error):
                raise
            raise reader.cut_off(is_reset=True) from error
        if data:
            reader.feed(data)
        else:
            reader.finish()

    def is_quiet(self) -> bool:
        """Return whether it is open, and nothing has come on it that nobody asked for."""
        return self._socket.is_quiet()

    def close(self) -> None:
        """Close it, whatever is under way."""
        self._socket.close()


def connect(dialer: Dialer, target: Target, tls_context: ssl.SSLContext) -> Connection:
    """Return a connection to a target, made within the connect time of the request that this thread carries.

    Raise AddressBlocked, socket.gaierror, ssl.SSLError, ConnectTimedOut, DeadlineExceeded or, for all other trouble,
    ConnectFailed, whose cause is what the system said.
    """
    current_exchange().start_dialing()
    try:
        connected = dialer.dial(target.host, target.port)
        if target.scheme == "https":
            return Connection(_secured(connected, target.host, tls_context))
        return Connection(connected)
    except (DeadlineExceeded, ssl.SSLError, socket.gaierror):
        raise
    except TimeoutError as error:
        raise ConnectTimedOut("no connection within the connect time") from error
    except OSError as error:
        raise ConnectFailed("can't connect") from error


def _secured(connected: DeadlineTcpSocket, host: str, context: ssl.SSLContext) -> DeadlineTlsSocket:
    """Shake hands; the certificate is checked against the host's name, not against the address."""
    try:
        # A name that is written with its root has a certificate without it (RFC 6125).
        secured = DeadlineTlsSocket(connected, context, host.rstrip("."))
        secured.do_handshake()
    except BaseException:
        connected.close()
        raise
    return secured
