"""How many restarts are still an accident."""

import threading
from collections import deque

from actors.runtime.shortage_watch import ShortageWatch

__all__ = ["RestartBudget"]


class RestartBudget:
    """At most `intensity` restarts within `period_s` seconds, as in OTP; actors on many threads share one.

    A crash for want of something that this machine is short of is no fault of the actor's: it spends nothing, and
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
