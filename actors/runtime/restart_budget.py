"""How many restarts are still an accident, and which crashes are only a shortage that passes."""

import threading
import time
from collections import deque
from collections.abc import Callable

import structlog

from eventstore.errors import Lack

__all__ = ["RestartBudget", "ShortageWatch"]

log = structlog.get_logger("hookfuse.daemon")
# What was postponed is tried again within some seconds: a shortage that has not come back by then is over.
_OVER_S = 15.0


class RestartBudget:
    """At most `intensity` restarts within `period_s` seconds, as in OTP; actors on many threads share one.

    A crash for want of something that this machine is short of is not a fault of the actor's: it spends nothing, and
    `shortages` is told.
    """

    def __init__(self, intensity: int = 5, period_s: float = 60.0) -> None:
        if intensity < 0 or period_s <= 0:
            raise ValueError(f"no budget: {intensity} restarts in {period_s} s")
        self.intensity = intensity
        self.period_s = period_s
        self._lock = threading.Lock()
        self._restarts_s: deque[float] = deque()
        self._crash_count = 0
        self.shortages = ShortageWatch()

    @property
    def crash_count(self) -> int:
        """Crashes so far, those that were beyond the budget included."""
        return self._crash_count

    def spend(self, now_s: float) -> bool:
        """Count a crash at `now_s` (seconds on a monotonic clock); return whether a restart is allowed.

        A refused restart uses nothing up.
        """
        with self._lock:
            self._crash_count += 1
            while self._restarts_s and now_s - self._restarts_s[0] > self.period_s:
                self._restarts_s.popleft()
            if len(self._restarts_s) >= self.intensity:
                return False
            self._restarts_s.append(now_s)
            return True


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
        """Log what is over."""
        if not self._episodes:
            return
        before_s = self._clock_s() - _OVER_S
        with self._lock:
            over = {lack: count for lack, (count, last_s) in self._episodes.items() if last_s < before_s}
            for lack in over:
                del self._episodes[lack]
        for lack, count in over.items():
            log.warning("shortage_over", short_of=lack.what, times=count, done="all goes on as before")
