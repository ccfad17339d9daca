"""A token bucket: how often something may happen. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["RateLimit"]


@dataclass(slots=True)
class RateLimit:
    """At most `per_s` a second in the long run, and `burst` at once; `per_s` 0 = no limit."""

    per_s: float
    burst: int = 1
    _tokens: float | None = None
    _at: datetime | None = None

    def take(self, now: datetime) -> datetime | None:
        """Take a token, and return None; when there is none, return the moment at which there will be one."""
        if not self.per_s:
            return None
        tokens = float(self.burst) if self._tokens is None or self._at is None else self._tokens
        if self._at is not None:
            passed_s = max(0.0, (now - self._at).total_seconds())
            tokens = min(float(self.burst), tokens + passed_s * self.per_s)
        self._at = now
        # What a microsecond brings is not waited for: time is counted in whole ones, and the moment told is rounded.
        if tokens >= 1 - max(1e-9, self.per_s * 1e-6):
            self._tokens = tokens - 1
            return None
        self._tokens = tokens
        return now + timedelta(seconds=(1 - tokens) / self.per_s)
