"""How many more outcomes of a day are sure to leave a review without effect, so that nobody need be evaluated for them.

Within one UTC day the past of the window stands still, and only today's counts grow. By rule, of its progress:

* silence: it is 0 for the rest of a day with a success. Else the silent days are fixed, the failing days are final
  with the day's first failure, and each failure adds one to the failures.
* streak: it is 0 for the rest of a day with a success. Else the day's first error settles it for the day.
* day: earlier days stand still. Of today, time-outs grow by one at a time, and any other outcome lowers their share.

So a success never raises a progress, and a failure raises it by a step whose number up to a level can be told.
Failures alone never lower it, except for the share of a day's time-outs. What is told here may be too few, never too
many: at worst somebody is evaluated in vain. Only `eventstore.policies.evaluation.evaluate` says what is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from eventstore.policies.day_counts import COUNTED_CLASSES
from eventstore.policies.policy import DayRule, NoSuccessRule, Policy, StreakRule

__all__ = ["UNLIMITED", "Past", "ReviewSkip", "SkipRule", "Tally"]

# Counts of one day, in the order of COUNTED_CLASSES.
Tally = Sequence[int]

UNLIMITED = 1 << 60
_SUCCESS, _TIMEOUT, _FATAL = (COUNTED_CLASSES.index(name) for name in ("success", "timeout", "fatal"))
_HALF, _BROKEN = 0.5, 1.0
# As evaluate has it: only what has fired is at its limit, and a failing today is half over.
_NEARLY, _HALF_A_DAY = 0.99, 0.5


@dataclass(frozen=True, slots=True)
class Past:
    """What the days of the window before today come to. `silent_days` since a success, today among them."""

    silent_days: int
    failures: int
    failing_days: int
    streak: int
    day_progress: float


@dataclass(frozen=True, slots=True)
class ReviewSkip:
    """So many failures, and so many successes, of today are sure to change nothing; -1 = something may follow now."""

    failures: int
    successes: int

    @property
    def is_due(self) -> bool:
        """Return whether something may follow from what there is."""
        return self.failures < 0


_DUE = ReviewSkip(-1, -1)


class SkipRule:
    """A policy's rules, taken apart once for all."""

    def __init__(self, policy: Policy, *, is_warned: bool) -> None:
        self._window_days = policy.window_days
        self._is_warned = is_warned
        self._errors = tuple(COUNTED_CLASSES.index(name) for name in policy.errors)
        self._failures = tuple({*self._errors, _TIMEOUT})
        self._silences = tuple(rule for rule in policy.rules if isinstance(rule, NoSuccessRule))
        self._streaks = tuple(rule for rule in policy.rules if isinstance(rule, StreakRule))
        self._day_rules = tuple(rule for rule in policy.rules if isinstance(rule, DayRule))
        self._texts = lru_cache(maxsize=8)(self._earlier_days)

    def past(self, days: Mapping[str, Tally], today: str) -> Past:
        """Add up the days of the window before today."""
        silent_days, failures, failing_days, streak, progress = 0, 0, 0, 0, 0.0
        is_streak = True
        for ago, day in enumerate(self._texts(today), start=1):
            tally = days.get(day)
            if tally is None:
                is_streak = False
                continue
            errors, success = self._count(tally, self._errors), tally[_SUCCESS]
            is_streak = is_streak and errors > 0 and not success
            streak += is_streak
            if success and not silent_days:
                silent_days = ago
            if not silent_days:
                failed = self._count(tally, self._failures)
                failures += failed
                failing_days += failed > 0
            if tally[_TIMEOUT] or tally[_FATAL]:
                progress = max(progress, self._day_progress(tally))
        return Past(silent_days or self._window_days, failures, failing_days, streak, progress)

    def margin(self, past: Past, today: Tally, warned_level: int, *, is_frozen: bool) -> ReviewSkip:
        """Return how much of today is sure to change nothing for an installation that is warned of a level."""
        target = self._target(warned_level)
        near = self._silence(past, today), self._streak(past, today), self._day_progress(today)
        highest = max(*near, past.day_progress)
        # While frozen nobody is disabled or warned.
        if (highest >= target and not is_frozen) or (warned_level and highest < _HALF):
            return _DUE
        rising = UNLIMITED if is_frozen else self._steps_up(past, today, target) - 1
        if not warned_level or past.day_progress >= _HALF:
            return ReviewSkip(rising, UNLIMITED)
        sharing = self._steps_down(today) - 1
        if max(near[:2]) >= _HALF:
            return ReviewSkip(rising, 0)
        return ReviewSkip(min(rising, sharing // 2), sharing // 2)

    def _target(self, warned_level: int) -> float:
        """Return the progress from which on something follows."""
        if not self._is_warned or warned_level >= 90:
            return _BROKEN
        return 0.9 if warned_level >= 50 else _HALF

    def _earlier_days(self, today: str) -> tuple[str, ...]:
        last = date.fromisoformat(today)
        return tuple((last - timedelta(days=ago)).isoformat() for ago in range(1, self._window_days))

    @staticmethod
    def _count(tally: Tally, classes: Sequence[int]) -> int:
        return sum([tally[index] for index in classes])

    def _silence(self, past: Past, today: Tally) -> float:
        if today[_SUCCESS] or not self._silences:
            return 0.0
        failed = self._count(today, self._failures)
        failures, failing_days = past.failures + failed, past.failing_days + (failed > 0)
        if not failures:
            return 0.0
        return max(self._silence_of(rule, past, failures, failing_days) for rule in self._silences)

    def _silence_of(self, rule: NoSuccessRule, past: Past, failures: int, failing_days: int) -> float:
        silence = min(1.0, (past.silent_days + _HALF_A_DAY) / self._window_days)
        return min(silence, failures / rule.failures_min, failing_days / rule.failing_days_min)

    def _streak(self, past: Past, today: Tally) -> float:
        if today[_SUCCESS] or not self._streaks:
            return 0.0
        if self._count(today, self._errors):
            return max((past.streak + 1 + _HALF_A_DAY) / rule.days for rule in self._streaks)
        return max(min(past.streak / rule.days, _NEARLY) for rule in self._streaks)

    def _day_progress(self, tally: Tally) -> float:
        return max([_progress_of_day(rule, tally) for rule in self._day_rules], default=0.0)

    def _steps_up(self, past: Past, today: Tally, target: float) -> int:
        """Return at which further failure of today the target can be reached at the earliest."""
        steps = min([_steps_to_day(rule, today, target) for rule in self._day_rules], default=UNLIMITED)
        if today[_SUCCESS]:
            return steps
        if not self._count(today, self._errors):
            soon = past.streak + 1 + _HALF_A_DAY
            steps = 1 if any(soon / rule.days >= target for rule in self._streaks) else steps
        failures = past.failures + self._count(today, self._failures)
        for rule in self._silences:
            if self._silence_of(rule, past, UNLIMITED, past.failing_days + 1) >= target:
                steps = min(steps, int(target * rule.failures_min) - failures)
        return max(1, steps)

    def _steps_down(self, today: Tally) -> int:
        """Return after how many other outcomes today's time-outs alone may no longer hold it at half of the way."""
        return max([_steps_from_half(rule, today) for rule in self._day_rules], default=1)


def _progress_of_day(rule: DayRule, tally: Tally) -> float:
    """Return the progress of one day; 1 = it has fired."""
    fatal, timeouts = tally[_FATAL], tally[_TIMEOUT]
    if rule.fatal_min is not None and fatal >= rule.fatal_min:
        return _BROKEN
    if rule.timeout_min is None or not timeouts:
        return fatal / rule.fatal_min if rule.fatal_min else 0.0
    share, progress = timeouts / sum(tally), timeouts / rule.timeout_min
    if timeouts >= rule.timeout_min and share > rule.timeout_share_above:
        return _BROKEN
    if rule.timeout_share_above > 0:
        progress = min(progress, share / rule.timeout_share_above)
    return min(progress, _NEARLY)


def _steps_to_day(rule: DayRule, today: Tally, target: float) -> int:
    """Return with which further time-out of today the target can be reached; fatal ones are looked at one by one."""
    if rule.timeout_min is None:
        return UNLIMITED
    timeouts = today[_TIMEOUT]
    steps = int(target * rule.timeout_min) - timeouts
    if rule.timeout_share_above > 0:
        wanted = target * rule.timeout_share_above
        if wanted >= 1:
            return UNLIMITED
        # (timeouts + steps) / (attempts + steps) = wanted
        steps = max(steps, int((wanted * sum(today) - timeouts) / (1 - wanted)))
    return max(1, steps)


def _steps_from_half(rule: DayRule, today: Tally) -> int:
    """Return with which further outcome that is not a time-out today's progress can fall below the half, 0 = it has."""
    if _progress_of_day(rule, today) < _HALF:
        return 0
    if rule.fatal_min is not None and today[_FATAL] >= rule.fatal_min:
        return UNLIMITED
    if not today[_TIMEOUT]:
        return 1  # fatal outcomes count for a rule of time-outs only until there is one
    if rule.timeout_share_above <= 0:
        return UNLIMITED
    return max(1, int(today[_TIMEOUT] / (_HALF * rule.timeout_share_above)) - sum(today))
