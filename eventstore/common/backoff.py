"""How long to wait after failures in a row: the one formula that retries, mails, breaker and probes share. Pure."""

from dataclasses import dataclass
from math import inf

__all__ = ["Backoff"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """The waits in seconds after the 1st, 2nd, ... failure in a row, as data.

    What `delays_s` names comes first; from then on each wait is `factor` times the one before. None is longer than
    `max_s`. `jitter` is the share by which one may be shorter or longer, so that those who failed together don't come
    back together. Raises ValueError for values that make no sense.
    """

    delays_s: tuple[float, ...]
    factor: float = 1.0
    max_s: float = inf
    jitter: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        if any(not 0 <= delay_s < inf for delay_s in self.delays_s):
            raise ValueError("delays_s are finite seconds, zero or more")
        if not 0 <= self.jitter <= 1:
            raise ValueError("jitter is a share from 0 to 1")
        if not 1 <= self.factor < inf or not self.max_s >= 0:
            raise ValueError("factor is a finite number from 1 on, and max_s is zero or more")

    def delay_s(self, failures: int, *, random_unit: float = 0.5) -> float:
        """Return the wait after so many failures; `random_unit` is from 0 (shortest) to 1 (longest)."""
        if failures < 1 or not self.delays_s:
            return 0.0
        beyond = max(0, failures - len(self.delays_s))
        named_s = self.delays_s[failures - beyond - 1]
        try:
            grown_s = named_s * float(self.factor) ** beyond
        except OverflowError:
            grown_s = inf if named_s else 0.0
        return min(grown_s, self.max_s) * (1 + self.jitter * (2 * random_unit - 1))
