"""When the next attempt is due, if there is one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from eventstore.common.backoff import Backoff
from webhook.outcome import ErrorClass

_SECONDS: Final = re.compile(r"-?[0-9]+", re.ASCII)
# A header that is there several times is one with commas (RFC 9110, section 5.3): gateways add theirs to the server's.
_SEVERAL_SECONDS: Final = re.compile(r"-?[0-9]+(?:[ \t]*,[ \t]*-?[0-9]+)+", re.ASCII)
_LONGEST_S: Final = 1e9  # whatever has more digits is longer than anybody waits; a float has an end

# Retrying can't change these: the guard's rule stands, and 410 says that nobody listens any more.
_FINAL: Final = frozenset((ErrorClass.BLOCKED, ErrorClass.DAMAGED, ErrorClass.GONE))


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """The delays in seconds after the 1st, 2nd, ... failed attempt; none at all means one attempt.

    `jitter` is the share of a delay by which it may be shorter or longer, so that deliveries that failed
    together don't come back together. Raises ValueError for a delay, share or bound that makes no sense.
    """

    delays_s: tuple[float, ...]
    jitter: float = 0.1
    retry_after_max_s: float = 86_400.0  # a day: a longer Retry-After would hold a delivery past its worth

    def __post_init__(self) -> None:
        self._backoff()
        if not 0 <= self.retry_after_max_s < float("inf"):
            raise ValueError("retry_after_max_s is a finite number of seconds, zero or more")

    def next_delay_s(
        self, failed_attempts: int, *, random_unit: float, retry_after_s: float | None = None
    ) -> float | None:
        """Return the seconds until the next attempt, or None when the attempts are used up.

        `failed_attempts` counts from 1, `random_unit` is from 0 to 1. What the endpoint asked for in
        Retry-After is a floor, bounded by `retry_after_max_s`; it never makes a further attempt.
        """
        if failed_attempts < 1:
            raise ValueError("failed_attempts counts from 1")
        if failed_attempts > len(self.delays_s):
            return None
        delay_s = self._backoff().delay_s(failed_attempts, random_unit=random_unit)
        return max(delay_s, min(retry_after_s or 0.0, self.retry_after_max_s))

    def _backoff(self) -> Backoff:
        return Backoff(self.delays_s, jitter=self.jitter)


def parse_retry_after(value: str, now: datetime) -> float | None:
    """Return Retry-After (seconds or an HTTP date) in seconds from `now`; the past is 0, rubbish None.

    Of several the longest counts: it is what all of those who asked can live with.
    """
    text = value.strip()
    if _SEVERAL_SECONDS.fullmatch(text):
        return max(min(max(0.0, float(each)), _LONGEST_S) for each in text.split(","))
    if _SECONDS.fullmatch(text):
        return min(max(0.0, float(text)), _LONGEST_S)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:  # "-0000": UTC, with no word on the sender's own zone (RFC 5322)
            moment = moment.replace(tzinfo=UTC)
        return max(0.0, (moment - now).total_seconds())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def is_final(error_class: ErrorClass) -> bool:
    """Return whether a failure of this class is never retried."""
    return error_class in _FINAL
