"""How long this machine has been running: a clock that nobody sets, but which starts again at each boot."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ReadUptime", "Uptime", "read_uptime"]

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_UPTIME = Path("/proc/uptime")


@dataclass(frozen=True, slots=True)
class Uptime:
    """Seconds since a boot, those of suspension included; `boot_id` tells that boot from others, empty = unknown."""

    boot_id: str
    seconds: float

    def since(self, earlier: "Uptime") -> float | None:
        """Return the seconds that passed since an earlier reading, None where another boot lies in between."""
        passed_s = self.seconds - earlier.seconds
        is_same_boot = self.boot_id == earlier.boot_id != ""
        # A container may count from its own start, under the boot id of its host.
        return passed_s if is_same_boot and passed_s >= 0 else None


ReadUptime = Callable[[], Uptime]


def read_uptime() -> Uptime:
    """Return the machine's uptime by CLOCK_BOOTTIME."""
    try:
        # The kernel's own word for CLOCK_BOOTTIME: what fakes a wall clock for a process (libfaketime) moves
        # clock_gettime's by as much, and the two could never be told apart.
        return Uptime(_BOOT_ID.read_text().strip(), float(_UPTIME.read_text().split()[0]))
    except (OSError, ValueError, IndexError):  # without /proc the wall clock is compared from start to start only
        return Uptime("", time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)))
