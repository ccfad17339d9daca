"""The evaluation: is an integration broken, by which rule, and how close the limit is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import floor
from operator import attrgetter

from msgspec import Struct
from msgspec.structs import replace

from eventstore.common.plural import counted
from eventstore.policies.day_counts import EVALUATED_CLASSES, DayCounts
from eventstore.policies.policy import DayRule, NoSuccessRule, Policy, Rule, StreakRule, class_under

__all__ = [
    "Evaluation",
    "as_evaluated",
    "error_count",
    "evaluate",
    "failure_count",
    "least_of_a_day",
    "progress_of",
    "warning_level",
]

# A rule that has not fired is never shown as having reached its limit.
_NEARLY = 0.99
_HALF_A_DAY = 0.5
_judged_counts = attrgetter(*EVALUATED_CLASSES)
# More than any day counts.
_NEVER = 2**62


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a policy says of an installation's days.

    `progress` runs from 0 to 1 and is 1 exactly when it is broken; `rule` and `explanation` are those of the
    rule that fired or, while none has, of the one that is nearest (empty when nothing points to a breakage).
    """

    is_broken: bool
    rule: str
    explanation: str
    progress: float
    policy: str
    policy_version: int
    days: tuple[DayCounts, ...]


class _Finding(Struct, frozen=True, gc=False):
    """What a rule comes to; it is explained where it is shown, as that costs more than all else."""

    has_fired: bool = False
    progress: float = 0.0
    explain: Callable[[], str] = str


_NOTHING = _Finding()


def evaluate(policy: Policy, days: Sequence[DayCounts], today: date) -> Evaluation:
    """Evaluate the days of one installation as of a UTC day; days outside the window are passed over.

    Pure: the live actors, `why`, as-of and what-if all ask this function.
    """
    window = _window(policy, days, today)
    rule, nearest = _nearest(policy, window, today)
    return Evaluation(
        is_broken=nearest.has_fired,
        rule=rule,
        explanation=nearest.explain(),
        progress=_shown(nearest),
        policy=policy.name,
        policy_version=policy.version,
        days=window,
    )


def progress_of(policy: Policy, days: Sequence[DayCounts], today: date) -> float:
    """Return the progress of an evaluation, which alone costs a fraction of it: whoever has thousands sorts by it."""
    return _shown(_nearest(policy, _window(policy, days, today), today)[1])


def least_of_a_day(policy: Policy, progress: float) -> tuple[int, int]:
    """Return from how many time-outs, and fatal outcomes, on one day on a rule about a day can come to a progress.

    A day with fewer, and with a success, makes no evaluation as near as that; without a success it may.
    """
    days = [rule for rule in policy.rules if isinstance(rule, DayRule)]
    timeouts = [rule.timeout_min for rule in days if rule.timeout_min is not None]
    fatals = [rule.fatal_min for rule in days if rule.fatal_min is not None]
    return (
        max(1, floor(min(timeouts) * progress)) if timeouts else _NEVER,
        max(1, floor(min(fatals) * progress)) if fatals else _NEVER,
    )


def _window(policy: Policy, days: Sequence[DayCounts], today: date) -> tuple[DayCounts, ...]:
    first, last = (today - timedelta(days=policy.window_days - 1)).isoformat(), today.isoformat()
    inside = [as_evaluated(policy, day) for day in days if first <= day.day <= last]
    return tuple(sorted(inside, key=attrgetter("day")))


def _nearest(policy: Policy, window: Sequence[DayCounts], today: date) -> tuple[str, _Finding]:
    """Return the rule that has fired or is nearest, with what it comes to; no name where nothing is near."""
    nearest, nearest_rule = _NOTHING, ""
    for rule in policy.rules:
        finding = _examine(rule, policy, window, today)
        if finding.has_fired:
            return rule.name, finding
        if finding.progress > nearest.progress:
            nearest, nearest_rule = finding, rule.name
    return nearest_rule, nearest


def _shown(finding: _Finding) -> float:
    return 1.0 if finding.has_fired else min(finding.progress, _NEARLY)


def as_evaluated(policy: Policy, day: DayCounts) -> DayCounts:
    """Return a day with each outcome under the class that the policy has it be of."""
    if not day.no_answer:
        return day
    counted = class_under(policy, "no_answer")
    return replace(day, no_answer=0, **{counted: getattr(day, counted) + day.no_answer})


def warning_level(progress: float) -> int:
    """Return the percent of the way to being disabled of which owners are told: 90, 50, or 0 = not yet."""
    return 90 if progress >= 0.9 else 50 if progress >= 0.5 else 0


def error_count(policy: Policy, day: DayCounts) -> int:
    """Count what the policy calls errors; time-outs and fatal outcomes are counted apart."""
    return sum([getattr(day, name) for name in policy.errors])


def failure_count(policy: Policy, day: DayCounts) -> int:
    """Count errors and time-outs, each once where the policy calls a time-out an error."""
    return error_count(policy, day) + (0 if "timeout" in policy.errors else day.timeout)


def _examine(rule: Rule, policy: Policy, window: Sequence[DayCounts], today: date) -> _Finding:
    if isinstance(rule, DayRule):
        return _examine_days(rule, window)
    if isinstance(rule, StreakRule):
        return _examine_streak(rule, policy, window, today)
    return _examine_silence(rule, policy, window, today)


def _examine_days(rule: DayRule, window: Sequence[DayCounts]) -> _Finding:
    findings = [_examine_day(rule, day) for day in window if day.timeout or day.fatal]
    return max(findings, key=lambda finding: (finding.has_fired, finding.progress), default=_NOTHING)


def _examine_day(rule: DayRule, day: DayCounts) -> _Finding:
    if rule.fatal_min is not None and day.fatal >= rule.fatal_min:
        return _Finding(True, 1.0, lambda: _fatal_text(rule, day))
    if rule.timeout_min is None or not day.timeout:
        return _Finding(False, day.fatal / rule.fatal_min if rule.fatal_min else 0.0)
    share = day.timeout / _attempts(day)
    progress = day.timeout / rule.timeout_min
    if rule.timeout_share_above > 0:
        progress = min(progress, share / rule.timeout_share_above)
    has_fired = day.timeout >= rule.timeout_min and share > rule.timeout_share_above
    return _Finding(has_fired, progress, lambda: _timeout_text(rule, day))


def _attempts(day: DayCounts) -> int:
    return sum(_judged_counts(day))


def _fatal_text(rule: DayRule, day: DayCounts) -> str:
    return f"{counted(day.fatal, 'fatal outcome')} on {day.day} (the limit is {rule.fatal_min})"


def _timeout_text(rule: DayRule, day: DayCounts) -> str:
    text = f"{counted(day.timeout, 'time-out')} on {day.day} (the limit is {rule.timeout_min}"
    if rule.timeout_share_above >= 0:
        attempts = counted(_attempts(day), "attempt")
        text += f", and more than {rule.timeout_share_above:.0%} of the day's {attempts}"
    return text + ")"


def _examine_streak(rule: StreakRule, policy: Policy, window: Sequence[DayCounts], today: date) -> _Finding:
    failing = {day.day for day in window if day.success == 0 and error_count(policy, day) > 0}
    if not failing:
        return _NOTHING
    decided = failing | {day.day for day in window if day.success}
    last = today if today.isoformat() in decided else today - timedelta(days=1)  # today's traffic may yet come
    streak = 0
    while (last - timedelta(days=streak)).isoformat() in failing:
        streak += 1
    has_fired = streak >= rule.days and last == today
    # A failing today is taken for half over, so that the day before the last one is more than 90% of the way.
    progress = (streak + _HALF_A_DAY) / rule.days if streak and last == today else streak / rule.days
    return _Finding(has_fired, progress, lambda: _streak_text(rule, streak))


def _streak_text(rule: StreakRule, streak: int) -> str:
    in_a_row = "1 day" if streak == 1 else f"{streak} days in a row"
    return f"{in_a_row} with errors and no success (the limit is {rule.days})" if streak else ""


def _examine_silence(rule: NoSuccessRule, policy: Policy, window: Sequence[DayCounts], today: date) -> _Finding:
    """Look at the days after the last success: silence, failures and failing days must all reach their limits."""
    last_success = max([day.day for day in window if day.success], default="")
    failures_a_day = [failure_count(policy, day) for day in window if day.day > last_success]
    failures, failing_days = sum(failures_a_day), len(failures_a_day) - failures_a_day.count(0)
    if not failures:
        return _NOTHING
    silent_days = (today - date.fromisoformat(last_success)).days if last_success else policy.window_days
    has_fired = not last_success and failures >= rule.failures_min and failing_days >= rule.failing_days_min
    silence = min(1.0, (silent_days + _HALF_A_DAY) / policy.window_days)
    progress = min(silence, failures / rule.failures_min, failing_days / rule.failing_days_min)

    def explain() -> str:
        failed = f"{counted(failures, 'failure')} over {counted(failing_days, 'day')}"
        window_days = counted(policy.window_days, "day")
        if last_success:
            limit = f"{counted(rule.failures_min, 'failure')} over {counted(rule.failing_days_min, 'day')}"
            silent = counted(silent_days, "day")
            return f"no success for {silent}, {failed} since (the limit is {window_days}, {limit})"
        limit = f"{rule.failures_min} over {rule.failing_days_min}"
        return f"no success within {window_days}, {failed} (the limit is {limit})"

    return _Finding(has_fired, progress, explain)
