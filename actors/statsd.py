"""The original's metrics, by their names, as statsd lines over UDP."""

import re
import socket
from collections.abc import Mapping

import structlog

__all__ = ["Statsd"]

log = structlog.get_logger("hookfuse.statsd")

# Tags as DogStatsD has them: `name:1|c|#tag:value`. What would end a value is taken out of it.
_UNSAFE = re.compile(r"[^A-Za-z0-9_.\-/]")
_VALUE_CHARACTERS = 100
# Stays below the smallest MTU that matters, so that no packet is cut (statsd's own recommendation).
_PACKET_BYTES = 1400


class Statsd:
    """Counts go out in packets; one that is lost is lost, as UDP has it, and nothing waits for it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._lines: list[bytes] = []
        self._bytes = 0
        self._has_complained = False

    def increment(self, name: str, tags: Mapping[str, str]) -> None:
        """Count one."""
        shown = ",".join(f"{key}:{_UNSAFE.sub('_', value)[:_VALUE_CHARACTERS]}" for key, value in tags.items())
        line = f"{name}:1|c|#{shown}".encode()
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
        try:
            self._socket.sendto(packet, self._address)
        except OSError as error:  # nobody listens, or the name is not known: said once
            if not self._has_complained:
                self._has_complained = True
                log.warning("statsd_unreachable", error=str(error), done="counts are lost until it is there")

    def close(self) -> None:
        """Send the rest."""
        self.flush()
        self._socket.close()
