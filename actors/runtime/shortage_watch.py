"""What this machine has been short of lately, said once when it begins and once when it is over."""

import threading
import time
from collections.abc import Callable

import structlog

from eventstore.errors import Lack

__all__ = ["ShortageWatch"]

log = structlog.get_logger("hookfuse.daemon")

# What was postponed is tried again within some seconds: a shortage that has not come back by then is over.
_OVER_S = 15.0


class ShortageWatch:
    """Counts what a process could not do for want of something, and logs it by the episode; safe on any thread.

    A thousand deliveries that cannot be sent for one reason are one warning, and one line when that is over.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._lock = threading.Lock()
        # By what is short: how often it was since the warning, and when last.
        self._episodes: dict[Lack, tuple[int, float]] = {}

    def note(self, lack: Lack, *, done: str) -> None:
        """Note that something could not be done; `done` says what was done instead."""
        with self._lock:
            count, _ = self._episodes.get(lack, (0, 0.0))
            self._episodes[lack] = count + 1, self._clock_s()
        if not count:
            log.warning("shortage_began", short_of=lack.what, done=done, fix=lack.fix)

    def look_around(self) -> None:
        """Say what is over."""
        if not self._episodes:
            return
        before_s = self._clock_s() - _OVER_S
        with self._lock:
            over = {lack: count for lack, (count, last_s) in self._episodes.items() if last_s < before_s}
            for lack in over:
                del self._episodes[lack]
        for lack, count in over.items():
            log.warning("shortage_over", short_of=lack.what, times=count, done="all goes on as before")
