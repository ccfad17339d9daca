"""How long a request may take."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: connect_s for name, TCP and TLS together, read_s for silence, total_s for everything."""

    connect_s: float = 5.0
    read_s: float = 5.0
    total_s: float = 10.0

    def __post_init__(self) -> None:
        if not all(0 < limit_s < float("inf") for limit_s in (self.connect_s, self.read_s, self.total_s)):
            raise ValueError("time-outs are finite seconds, more than zero")

    def with_requests(self, timeout: float | tuple[float | None, float | None] | None) -> Timeouts:
        """Return these with those that requests names: one for both, or one to connect and one between two pieces."""
        connect_s, read_s = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        return replace(self, connect_s=connect_s or self.connect_s, read_s=read_s or self.read_s)
