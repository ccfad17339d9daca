"""The original's metrics, by their names, as statsd lines over UDP."""

import re
import socket
import time
from collections.abc import Callable, Mapping

import structlog

__all__ = ["Statsd"]

log = structlog.get_logger("hookfuse.statsd")

# Tags as DogStatsD has them: `name:1|c|#tag:value`. What would end a value is taken out of it.
_UNSAFE = re.compile(r"[^A-Za-z0-9_.\-/]")
_VALUE_CHARACTERS = 100
# Stays below the smallest MTU that matters, so that no packet is cut (statsd's own recommendation).
_PACKET_BYTES = 1400
# A name may get another address, and a resolver that is away takes seconds to say so.
_LOOK_UP_S = 60.0


class Statsd:
    """Counts go out in packets; one that is lost is lost, as UDP has it, and nothing waits for it."""

    def __init__(self, host: str, port: int, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._port = port
        self._clock_s = clock_s
        self._socket: socket.socket | None = None
        self._look_up_at_s = clock_s()
        self._lines: list[bytes] = []
        self._bytes = 0
        self._has_complained = False

    def increment(self, name: str, tags: Mapping[str, str]) -> None:
        """Count one."""
        shown = ",".join(f"{key}:{_UNSAFE.sub('_', value)[:_VALUE_CHARACTERS]}" for key, value in tags.items())
        line = (f"{name}:1|c|#{shown}" if shown else f"{name}:1|c").encode()
        if self._bytes + len(line) > _PACKET_BYTES:
            self.flush()
        self._lines.append(line)
        self._bytes += len(line) + 1

    def flush(self) -> None:
        """Send what has gathered."""
        if not self._lines:
            return
        packet = b"\n".join(self._lines)
        self._lines.clear()
        self._bytes = 0
        if self._clock_s() >= self._look_up_at_s:
            self._look_up_at_s = self._clock_s() + _LOOK_UP_S
            self._connect()
        if self._socket is not None:
            self._send(self._socket, packet)

    def close(self) -> None:
        """Send the rest."""
        self.flush()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connect(self) -> None:
        try:
            family, _, _, _, address = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)[0]
            fresh = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            self._complain(error)
            return
        fresh.setblocking(False)
        try:
            # Connected, so that the kernel tells when nobody listens.
            fresh.connect(address)
        except OSError as error:
            fresh.close()
            self._complain(error)
            return
        if self._socket is not None:
            self._socket.close()
        self._socket = fresh

    def _send(self, connected: socket.socket, packet: bytes) -> None:
        try:
            try:
                connected.send(packet)
            except ConnectionRefusedError as error:  # so it was with the packet before, and this one has not gone
                self._complain(error)
                connected.send(packet)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        if self._has_complained:
            return
        self._has_complained = True
        log.warning(
            "statsd_unreachable",
            address=f"{self._host}:{self._port}",
            error=error.strerror or str(error),
            done="counts are lost until it is there; logged once",
        )
