"""The endpoints: one process, as cheap as Python allows, that notes each request and answers as it is told.

python -m benchmarks.receiver --arrivals FILE
"""

import argparse
import asyncio
import random
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from benchmarks.addresses import addresses_of
from benchmarks.alert import mark_of
from benchmarks.arrivals import ArrivalsWriter

__all__ = ["Answering", "RequestError", "path_number_of", "request_end"]

_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_ERROR: Final = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno"
_CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_PATH_NUMBER: Final = re.compile(rb"POST /hook/(\d+) ")
_BACKLOG: Final = 4096


class RequestError(ValueError):
    """The bytes are not a request that this receiver understands."""


def request_end(data: bytes) -> int:
    """Return the index after the first request in the data, 0 while it is not there whole."""
    head_end = data.find(b"\r\n\r\n")
    if head_end < 0:
        return 0
    length = _CONTENT_LENGTH.search(data, 0, head_end + 2)
    if length is None:
        raise RequestError("a request without Content-Length")
    end = head_end + 4 + int(length[1])
    return end if end <= len(data) else 0


def path_number_of(request: bytes) -> int:
    """Return the number of the installation in /hook/NUMBER."""
    match = _PATH_NUMBER.match(request)
    if match is None:
        raise RequestError(f"not a POST of /hook/NUMBER: {request[:60]!r}")
    return int(match[1])


@dataclass(frozen=True, slots=True)
class Answering:
    """How requests are answered. Every `silent_every`-th installation is never answered, 0 = all are.

    Of the others a share of `failing` gets 500, of `hanging_up` a closed connection, of `ignoring` nothing, by chance.
    """

    silent_every: int = 0
    failing: float = 0.0
    hanging_up: float = 0.0
    ignoring: float = 0.0

    def status(self, path_number: int, chance: Callable[[], float]) -> int:
        """Return 200, 500, 0 = silence, or -1 = the connection is closed."""
        if self.silent_every and path_number % self.silent_every == 0:
            return 0
        if not self.failing and not self.hanging_up and not self.ignoring:
            return 200
        drawn = chance()
        if drawn < self.failing:
            return 500
        if drawn < self.failing + self.hanging_up:
            return -1
        return 0 if drawn < self.failing + self.hanging_up + self.ignoring else 200


class _Connection(asyncio.Protocol):
    def __init__(self, arrivals: ArrivalsWriter, answering: Answering) -> None:
        self._arrivals = arrivals
        self._answering = answering
        self._unread = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own is not derived from it

    def data_received(self, data: bytes) -> None:
        self._unread = self._unread + data if self._unread else data
        while end := request_end(self._unread):
            request, self._unread = self._unread[:end], self._unread[end:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        at_s = time.monotonic()
        path_number = path_number_of(request)
        number, queued_s = mark_of(request)
        status = self._answering.status(path_number, random.random)
        self._arrivals.add(at_s, queued_s, number, path_number, max(status, 0))
        if status == 200:
            self._transport.write(_OK)
        elif status == 500:
            self._transport.write(_ERROR)
        elif status == -1:
            self._transport.abort()


async def _serve(arrivals: ArrivalsWriter, answering: Answering, addresses: list[str], port: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    for address in addresses:
        server = await loop.create_server(
            lambda: _Connection(arrivals, answering), address, port, backlog=_BACKLOG, reuse_address=True
        )
        port = port or server.sockets[0].getsockname()[1]
    print(port, flush=True)
    await stop.wait()


def main() -> None:
    """Print the port, then answer until SIGTERM."""
    parser = argparse.ArgumentParser(description="Answer webhooks, and note them.")
    parser.add_argument("--arrivals", type=Path, required=True, help="file that the requests are noted in")
    parser.add_argument("--capacity", type=int, default=1_000_000, help="how many requests the file has room for")
    parser.add_argument("--addresses", type=int, default=1, help="how many addresses of the loopback network")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--silent-every", type=int, default=0, help="every so many-th installation is never answered")
    parser.add_argument("--failing", type=float, default=0.0, help="share that is answered with 500, by chance")
    parser.add_argument("--hanging-up", type=float, default=0.0, help="share that is hung up on, by chance")
    parser.add_argument("--ignoring", type=float, default=0.0, help="share that is not answered, by chance")
    arguments = parser.parse_args()
    arrivals = ArrivalsWriter(arguments.arrivals, arguments.capacity)
    answering = Answering(arguments.silent_every, arguments.failing, arguments.hanging_up, arguments.ignoring)
    # Imported here: what is tested of this file needs no more than Python.
    import uvloop  # noqa: PLC0415

    uvloop.run(_serve(arrivals, answering, addresses_of(arguments.addresses), arguments.port))


if __name__ == "__main__":
    main()
