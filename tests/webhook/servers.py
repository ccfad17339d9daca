"""Servers that misbehave on purpose, each on a free port of 127.0.0.1, each connection in a thread of its own."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Client:
    """One accepted connection, and the requests it has sent so far."""

    sock: socket.socket
    stopping: threading.Event
    server: Server
    pending: bytes = b""

    def read_request(self) -> bytes:
        """Return one whole request, or nothing when the client is gone."""
        while b"\r\n\r\n" not in self.pending:
            if not self._more():
                return b""
        head, _, _ = self.pending.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        size = len(head) + 4 + length
        while len(self.pending) < size:
            if not self._more():
                return b""
        request, self.pending = self.pending[:size], self.pending[size:]
        self.server.requests.append(request)
        return request

    def _more(self) -> bool:
        data = self.sock.recv(65536)
        self.pending += data
        return bool(data)

    def drip(self, data: bytes, pause_s: float = 0.02) -> None:
        """Send byte by byte."""
        for byte in data:
            self.sock.sendall(bytes((byte,)))
            if self.stopping.wait(pause_s):
                return

    def wait(self) -> None:
        """Stay silent until the test is over or the client is gone."""
        while not self.stopping.is_set():
            with suppress(TimeoutError):
                self.sock.settimeout(0.1)
                if not self.sock.recv(65536):
                    return


@dataclass
class Server:
    """What a test asks about a server afterwards."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def tls_url(self) -> str:
        return f"https://localhost:{self.port}/hook"


@contextmanager
def serving(behave: Callable[[Client], None], tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run `behave` for each connection until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopping = threading.Event()
    server = Server(listener.getsockname()[1])
    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = []

    def handle(sock: socket.socket) -> None:
        with suppress(OSError):
            wrapped = tls.wrap_socket(sock, server_side=True) if tls else sock
            sockets.append(wrapped)
            try:
                behave(Client(wrapped, stopping, server))
            finally:
                wrapped.close()
        sock.close()

    def accept() -> None:
        with suppress(OSError):
            while True:
                sock, _ = listener.accept()
                if stopping.is_set():
                    sock.close()
                    return
                server.connections += 1
                threads.append(threading.Thread(target=handle, args=(sock,)))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield server
    finally:
        stopping.set()
        with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            pass  # wakes the acceptor
        acceptor.join()
        listener.close()
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for one more request
        for thread in threads:
            thread.join()


def answering(*answers: bytes) -> Callable[[Client], None]:
    """Return a behaviour: a keep-alive server that gives these answers, the last one for ever."""

    def behave(client: Client) -> None:
        given = 0
        while client.read_request():
            client.sock.sendall(answers[min(given, len(answers) - 1)])
            given += 1

    return behave


def make_certificate(folder: Path) -> Path:
    """Write a self-signed certificate with its key for `localhost`; return the file."""
    from datetime import UTC, datetime, timedelta

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "localhost.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
