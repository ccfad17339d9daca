"""Telling systemd how the process fares, where it asks (sd_notify(3), sd_watchdog_enabled(3))."""

import os
import socket
import time
from collections.abc import Callable, Mapping

import structlog

__all__ = ["ServiceManager"]

log = structlog.get_logger("hookfuse.daemon")

# One that does not read is not waited for.
_PATIENCE_S = 1.0


class ServiceManager:
    """Says READY, STOPPING and, twice as often as it has to, WATCHDOG; without NOTIFY_SOCKET it says nothing."""

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        *,
        pid: int | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._clock_s = clock_s
        self._pid = os.getpid() if pid is None else pid
        self._interval_s = _interval_s(environment, self._pid)
        self._due_s = 0.0
        self._is_ready = False
        self._has_complained = False

    def ready(self) -> None:
        """Report that it has started: what is queued is delivered from now on; once, however often this is called."""
        if self._is_ready:
            return
        self._is_ready = True
        self._say(f"READY=1\nMAINPID={self._pid}")

    def alive(self) -> None:
        """Report that the loop has come round; as often as it is asked for, however often this is called."""
        if self._interval_s and self._clock_s() >= self._due_s:
            self._due_s = self._clock_s() + self._interval_s
            self._say("WATCHDOG=1")

    def stopping(self) -> None:
        """Report that it ends what is in flight, and then itself."""
        self._say("STOPPING=1")

    def _say(self, text: str) -> None:
        if not self._address:
            return
        # A name that begins with @ is one in the abstract name space, which begins with a zero byte.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
                notify.settimeout(_PATIENCE_S)
                notify.sendto(text.encode(), address)
        except OSError as error:
            if not self._has_complained:
                self._has_complained = True
                log.warning("service_manager_unreachable", error=str(error), done="deliveries go on; logged once")


def _interval_s(environment: Mapping[str, str], pid: int) -> float:
    """Return half of what the watchdog allows, 0 = there is none, or it watches another process."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    is_ours = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
    return int(microseconds) / 2_000_000 if microseconds.isdecimal() and is_ours else 0.0
