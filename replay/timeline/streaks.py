"""Attempts that went alike, folded to so few streaks that they can be told. Pure."""

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from eventstore.common.clock import day_of

__all__ = ["Streak", "StreakFold", "quiet_days_between"]

# So few are told as they are; of more those go that say little.
_FEW = 6
# So many at most are told between two decisions, and twice as many are held meanwhile.
_MANY = 30
# A silence is a gap when it has so many whole days, and is so many times as long as is usual.
_GAP_DAYS = 3
_GAP_FACTOR = 3
# A boundary is worth its line when it tells so many times what it takes to name its place among the attempts.
_WORTH = 3.0
# More than a boundary tells that has the same on both sides.
_ANYTHING = 1e-9


@dataclass(slots=True)
class Streak:
    """Attempts from a first to a last one; `quiet_days` are the days between these that had none.

    `failed` counts failed attempts by class; `exhausted`: deliveries given up; `opened` and `closed`: what the
    breaker did meanwhile, `closed_by` who did so by hand; `gap_days`: the days without attempts before the first one.
    """

    first_at: str
    last_at: str
    first_position: int
    last_position: int
    gap_days: int = 0
    quiet_days: int = 0
    succeeded: int = 0
    failures: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    exhausted: int = 0
    opened: int = 0
    closed: int = 0
    closed_by: tuple[str, ...] = ()

    def absorb(self, later: "Streak") -> None:
        """Become one with the streak that follows."""
        self.last_at, self.last_position = later.last_at, later.last_position
        self.quiet_days += later.gap_days + later.quiet_days
        self.succeeded += later.succeeded
        self.failures += later.failures
        self.failed += later.failed
        self.exhausted += later.exhausted
        self.opened += later.opened
        self.closed += later.closed
        self.closed_by = tuple(dict.fromkeys(self.closed_by + later.closed_by))


class StreakFold:
    """Follows the attempts between two decisions; its memory does not grow with them.

    It begins with a streak for each run of successes or failures. Where there are too many, two that follow each
    other become one when telling them apart says little: by how much shorter the sequence of outcomes can be
    written when each has its own share of failures (minimum description length). A gap stays one.
    """

    def __init__(self, began_at: str) -> None:
        self._streaks: list[Streak] = []
        # What each boundary between two of them tells, in bits.
        self._told: list[float] = []
        self._day = day_of(began_at)
        self._active_days = 1
        self._quiet_days = 0

    @property
    def current(self) -> Streak | None:
        """The streak that goes on, None before the first attempt."""
        return self._streaks[-1] if self._streaks else None

    def follow(self, recorded_at: str, position: int, error_class: str | None) -> None:
        """Take in one attempt; `error_class` None = it succeeded."""
        quiet_days = 0 if recorded_at.startswith(self._day) else self._turn_to(day_of(recorded_at))
        current = self._streaks[-1] if self._streaks else None
        is_success = error_class is None
        if current is None or quiet_days >= _GAP_DAYS or is_success != (current.failures == 0):
            current = self._begin(recorded_at, position, quiet_days)
        else:
            current.quiet_days += quiet_days
            current.last_at, current.last_position = recorded_at, position
        if error_class is None:
            current.succeeded += 1
        else:
            current.failures += 1
            current.failed[error_class] += 1

    def finish(self) -> list[Streak]:
        """Return the streaks, oldest first."""
        self._weigh_last()
        self._join_weakest(_MANY, worth=_ANYTHING)
        if len(self._streaks) > _FEW:
            attempts = sum(streak.succeeded + streak.failures for streak in self._streaks)
            self._join_weakest(_MANY, worth=_WORTH * math.log2(attempts))
        return self._streaks

    def is_gap(self, quiet_days: int) -> bool:
        """Return whether a silence is out of the ordinary here."""
        usual_days = 1 + self._quiet_days / self._active_days
        return quiet_days >= max(_GAP_DAYS, _GAP_FACTOR * usual_days)

    def _turn_to(self, day: str) -> int:
        quiet_days = quiet_days_between(self._day, day)
        self._day = day
        self._active_days += 1
        self._quiet_days += quiet_days
        return quiet_days

    def _begin(self, recorded_at: str, position: int, gap_days: int) -> Streak:
        self._weigh_last()
        if len(self._streaks) >= 2 * _MANY:
            self._join_weakest(_MANY)
        self._streaks.append(Streak(recorded_at, recorded_at, position, position, gap_days))
        return self._streaks[-1]

    def _weigh_last(self) -> None:
        """Weigh the boundary before the streak that has just ended."""
        if len(self._told) < len(self._streaks) - 1:
            self._told.append(_told_by_boundary(self._streaks[-2], self._streaks[-1]))

    def _join_weakest(self, many: int, worth: float = 0.0) -> None:
        """Join streaks where the boundary tells least, until there are not too many and each is worth its line."""
        has_gaps = any(streak.gap_days >= _GAP_DAYS for streak in self._streaks)
        while self._told:
            told = [self._with_gap(boundary) for boundary in range(len(self._told))] if has_gaps else self._told
            weakest = min(told)
            if len(self._streaks) <= many and weakest >= worth:
                return
            self._join(told.index(weakest))

    def _with_gap(self, boundary: int) -> float:
        # Gaps go last of all: only where even those are too many.
        return self._told[boundary] + (1e9 if self.is_gap(self._streaks[boundary + 1].gap_days) else 0.0)

    def _join(self, boundary: int) -> None:
        self._streaks[boundary].absorb(self._streaks.pop(boundary + 1))
        self._told.pop(boundary)
        for near in (boundary - 1, boundary):
            if 0 <= near < len(self._told):
                self._told[near] = _told_by_boundary(self._streaks[near], self._streaks[near + 1])


def quiet_days_between(day: str, later_day: str) -> int:
    """Count the whole UTC days between two days."""
    return max(0, (date.fromisoformat(later_day) - date.fromisoformat(day)).days - 1)


def _told_by_boundary(one: Streak, other: Streak) -> float:
    apart = _bits(one.succeeded, one.failures) + _bits(other.succeeded, other.failures)
    return _bits(one.succeeded + other.succeeded, one.failures + other.failures) - apart


def _bits(succeeded: int, failures: int) -> float:
    """Return the length of a sequence of so many outcomes, written as briefly as its share of failures allows."""
    count = succeeded + failures
    return sum(part * math.log2(count / part) for part in (succeeded, failures) if part)
