"""A small CONNECT proxy on a free port of 127.0.0.1."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tests.webhook.servers import Client, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


@contextmanager
def proxying(answer: bytes = ESTABLISHED, *, to_port: int | None = None) -> Iterator[Server]:
    """Run a proxy that gives this answer; with a 200 it tunnels to 127.0.0.1, at the port or at the one asked for."""

    def behave(client: Client) -> None:
        request = client.read_request()
        client.sock.sendall(answer)
        if answer.startswith(b"HTTP/1.1 200") and request:
            port = to_port or int(request.split(b" ")[1].rpartition(b":")[2])
            with socket.create_connection(("127.0.0.1", port)) as onward:
                back = threading.Thread(target=_copy, args=(onward, client.sock))
                back.start()
                _copy(client.sock, onward)
                back.join()

    with serving(behave) as server:
        yield server


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
