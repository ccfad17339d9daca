"""How long a wait may stand, by the rule that set it. Pure.

What lies further ahead was recorded by another clock than today's, and must not hold anything until then: the clock
was wrong, and has been set right. A pause or an open breaker of that kind is over; a retry, or what is recovered,
waits from now on as long as its rule says; a first attempt waits for nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from eventstore.common.backoff import Backoff
from eventstore.common.clock import parse_time, time_text

__all__ = ["LONGEST_PAUSE_S", "QueuedWait", "WaitRule", "bounded_waits", "is_held", "latest_pause"]

# A pause that an endpoint asks for is no longer than a day, nor is any breaker open for longer (docs/configuration.md).
LONGEST_PAUSE_S = 86_400.0
# Steps by which clocks are set, and those of two processes differ, are not leaps.
_STEP_S = 60.0
_SLACK_S = 1.0


def is_held(until: datetime | None, now: datetime, longest_s: float) -> bool:
    """Return whether a moment is still waited for: in the future, and no further than its rule can have set it."""
    return until is not None and now < until <= now + timedelta(seconds=longest_s + _STEP_S)


def latest_pause(now: datetime) -> str:
    """Return the moment beyond which no pause, and no open breaker, can lie."""
    return time_text(now + timedelta(seconds=LONGEST_PAUSE_S + _STEP_S))


class QueuedWait(msgspec.Struct, frozen=True, array_like=True):
    """A delivery that waits, `attempts` made and the last of them failed with `last_error`."""

    due_at: str
    attempts: int
    is_recovery: int
    last_error: str
    sequence: int

    @property
    def is_paced(self) -> bool:
        """Return whether it is part of a recovery, and waits for its first attempt there."""
        return bool(self.is_recovery) and not self.attempts


@dataclass(frozen=True, slots=True)
class WaitRule:
    """For how long deliveries wait: fields as [retry] and [missed] of the configuration have them."""

    retry_delays_s: Sequence[float] = ()
    jitter: float = 0.0
    recover_per_s: float = 10.0

    def delay_s(self, wait: QueuedWait) -> float:
        """Return how long one waits after its latest attempt, by the schedule; a first attempt waits for nothing."""
        return Backoff(tuple(self.retry_delays_s), jitter=self.jitter).delay_s(wait.attempts, random_unit=1.0)

    def longest_s(self, wait: QueuedWait) -> float:
        """Return how long one may wait: an endpoint that answered may have asked for more than the schedule has."""
        if wait.is_paced:
            return 1 / self.recover_per_s
        has_answered = wait.attempts and wait.last_error[:1].isdigit()
        return max(self.delay_s(wait), LONGEST_PAUSE_S if has_answered else 0.0)

    def is_astray(self, wait: QueuedWait, now: datetime) -> bool:
        """Return whether one waits for longer than it may; of a recovery, whether its next one does."""
        return parse_time(wait.due_at) > now + timedelta(seconds=self.longest_s(wait) + _SLACK_S)


def bounded_waits(rule: WaitRule, waits: Sequence[QueuedWait], now: datetime) -> list[tuple[str, int]]:
    """Return the moments, each with its sequence number, of those of one installation that wait for too long."""
    paced = sorted((one for one in waits if one.is_paced), key=lambda one: one.sequence)
    return _paced_anew(rule, paced, now) + [
        (time_text(now + timedelta(seconds=rule.delay_s(one))), one.sequence)
        for one in waits
        if not one.is_paced and rule.is_astray(one, now)
    ]


def _paced_anew(rule: WaitRule, paced: Sequence[QueuedWait], now: datetime) -> list[tuple[str, int]]:
    """Return a recovery that goes on now, at the pace that it has: its last moment is its count by its pace away."""
    if not paced:
        return []
    moments = [parse_time(one.due_at) for one in paced]
    first, last = min(moments), max(moments)
    own_s = (last - first).total_seconds() / max(1, len(paced) - 1)  # it may have been started under other settings
    if first <= now + timedelta(seconds=max(own_s, 1 / rule.recover_per_s) + _SLACK_S):
        return []
    return [(time_text(now + (moment - first)), one.sequence) for moment, one in zip(moments, paced, strict=True)]
