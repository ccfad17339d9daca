"""The circuit breaker of one installation: when to stop trying for a while, and when to try again. Pure."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from eventstore.common.backoff import Backoff
from eventstore.common.plural import counted
from eventstore.policies.waits import is_held

__all__ = ["SAYS_NOTHING", "Breaker", "BreakerRule", "Trip", "attempts_of_a_dead_endpoint"]

DAY_S = 86_400

# Error classes that say nothing about the endpoint: our own faults, the guard's word, a healthy endpoint's "slowly".
SAYS_NOTHING = ("internal", "damaged", "blocked", "rate_limited")


@dataclass(frozen=True, slots=True)
class BreakerRule:
    """When the breaker opens (the original's circuit breaker, with a floor that quiet endpoints can reach too).

    It opens on `failures_min` failures within `window_s` seconds that are at least `failure_share_min` of the
    attempts, or on `streak_min` failures in a row. It is open for `open_s` seconds; then one attempt is let
    through. When that fails the wait doubles, up to `open_max_s`; when it succeeds the breaker closes, and for
    `recovery_s` seconds its limits are a tenth of the usual (`recovery_factor`).
    """

    window_s: float = 600.0
    failures_min: int = 20
    failure_share_min: float = 0.5
    streak_min: int = 10
    open_s: float = 300.0
    open_max_s: float = 3600.0
    recovery_s: float = 1200.0
    recovery_factor: int = 10

    @property
    def longest_open_s(self) -> float:
        """For how long it may be open at most."""
        return max(self.open_s, self.open_max_s)

    @property
    def waits(self) -> Backoff:
        """Return how long it is open after the first failure that opens it, and after each trial that fails."""
        return Backoff((self.open_s,), factor=2.0, max_s=self.longest_open_s)


def attempts_of_a_dead_endpoint(rule: BreakerRule) -> tuple[int, int]:
    """Count the attempts that are made within a day at an endpoint that never answers: the first day, a later one.

    So many in a row until it opens, and then one after each wait; each takes no time here, so that it is the most.
    What is in flight beside the last failure before the opening comes on top, once.
    """
    longest_s, waits = rule.longest_open_s, rule.waits
    wait_s, at_s, trials = rule.open_s, rule.open_s, 0
    while at_s < DAY_S and wait_s < longest_s:
        trials += 1
        wait_s = waits.delay_s(1 + trials)
        at_s += wait_s
    later = ceil(DAY_S / longest_s)
    return rule.streak_min + trials + max(0, ceil((DAY_S - at_s) / longest_s)), later


@dataclass(frozen=True, slots=True)
class Trip:
    """Why the breaker opens, and until when; `failed_trials` counts those in a row that led to it."""

    until: datetime
    explanation: str
    failed_trials: int = 0


@dataclass(slots=True)
class Breaker:
    """The breaker's state: `open_until` and `strict_until` come from events, the rest from the latest outcomes.

    Open = `open_until` lies in the future, and no further than the rule allows; half-open = it has passed, and no probe
    has closed the breaker yet.
    """

    rule: BreakerRule
    open_until: datetime | None = None
    strict_until: datetime | None = None
    failed_trials: int = 0
    _outcomes: deque[tuple[datetime, bool]] = field(default_factory=deque)
    _failures: int = 0
    _streak: int = 0

    def is_open(self, now: datetime) -> bool:
        """Return whether nothing may be sent."""
        return is_held(self.open_until, now, self.rule.longest_open_s)

    def held_until(self, now: datetime) -> datetime | None:
        """Return until when nothing may be sent, None = something may."""
        return self.open_until if self.is_open(now) else None

    def is_half_open(self, now: datetime) -> bool:
        """Return whether one attempt at a time may be sent, to find out."""
        return self.open_until is not None and not self.is_open(now)

    def remember(self, outcomes: Iterable[tuple[datetime, bool]]) -> None:
        """Take in what happened before, oldest first, without evaluating it; True = success."""
        for at, is_success in outcomes:
            self._add(at, is_success=is_success)
        if self._outcomes:
            self._forget_beyond(max(at for at, _ in self._outcomes))  # clocks are set back, too

    def note(self, now: datetime, *, is_success: bool) -> Trip | None:
        """Count one outcome while closed, and return whether it opens the breaker."""
        self._add(now, is_success=is_success)
        self._forget_beyond(now)
        if is_success or self.open_until is not None:
            return None
        factor = self.rule.recovery_factor if is_held(self.strict_until, now, self.rule.recovery_s) else 1
        explanation = self._explain(factor)
        return Trip(now + timedelta(seconds=self.rule.open_s), explanation) if explanation else None

    def probe_failed(self, now: datetime) -> Trip:
        """Return until when it stays open after the attempt that was let through has failed."""
        failed_trials = self.failed_trials + 1
        wait_s = self.rule.waits.delay_s(1 + failed_trials)
        return Trip(now + timedelta(seconds=wait_s), "the attempt that was let through failed", failed_trials)

    def opened(self, trip: Trip) -> None:
        """Follow an opening."""
        self.open_until = trip.until
        self.failed_trials = trip.failed_trials

    def closed(self, now: datetime) -> datetime:
        """Close it: what led to the opening is forgotten. Give the moment until which its limits are stricter."""
        self.open_until = None
        self.failed_trials = 0
        self.strict_until = now + timedelta(seconds=self.rule.recovery_s)
        self.reset()
        return self.strict_until

    def reset(self) -> None:
        """Forget the outcomes so far."""
        self._outcomes.clear()
        self._failures = self._streak = 0

    def _add(self, at: datetime, *, is_success: bool) -> None:
        self._outcomes.append((at, is_success))
        self._failures += not is_success
        self._streak = 0 if is_success else self._streak + 1

    def _forget_beyond(self, newest: datetime) -> None:
        """Drop what has left the window that ends with the newest outcome, or came from a clock that was ahead."""
        window = timedelta(seconds=self.rule.window_s)
        while self._outcomes and not newest - window < self._outcomes[0][0] < newest + window:
            _, was_success = self._outcomes.popleft()
            self._failures -= not was_success

    def _explain(self, factor: int) -> str:
        # One failure is not a streak: a busy endpoint with a few errors must come out of its recovery.
        streak_min = min(self.rule.streak_min, max(2, self.rule.streak_min // factor))
        if self._streak >= streak_min:
            return f"{self._streak} failures in a row (the limit is {streak_min})"
        failures_min = max(1, self.rule.failures_min // factor)
        share = self._failures / len(self._outcomes)
        if self._failures >= failures_min and share >= self.rule.failure_share_min:
            return (
                f"{counted(self._failures, 'failure')} within {self.rule.window_s:.0f} s, {share:.0%} of the attempts"
                f" (the limit is {failures_min} and {self.rule.failure_share_min:.0%})"
            )
        return ""
