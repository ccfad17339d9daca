"""What would have prevented a disabling or, before the end, would stop it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import floor

from msgspec.structs import replace

from eventstore.common.plural import counted, noun
from eventstore.policies.day_counts import EVALUATED_CLASSES, DayCounts
from eventstore.policies.evaluation import Evaluation, as_evaluated, evaluate
from eventstore.policies.policy import DayRule, NoSuccessRule, Policy, Rule, StreakRule

__all__ = ["Remediation", "suggest_remediation"]


@dataclass(frozen=True, slots=True)
class Remediation:
    """A sentence for people (empty: nothing would), and the days as they would have been: evaluate them to prove it."""

    sentence: str
    days: tuple[DayCounts, ...]


def suggest_remediation(policy: Policy, days: Sequence[DayCounts], rule: str, today: date) -> Remediation:
    """Return the single thing that stands between these days and a disabling.

    `rule` is the one that spoke, `receiver` (it answered 410 Gone) or `person`. Where several rules have fired
    and no single thing would do, all that are needed are named.
    """
    counts = {day.day: as_evaluated(policy, day) for day in days}
    if rule == "receiver":
        return _given("Any answer other than 410 Gone would have prevented it.", counts)
    spoken = next((one for one in policy.rules if one.name == rule), None)
    if spoken is None:
        return _given("", counts)
    evaluation = evaluate(policy, tuple(counts.values()), today)
    if evaluation.is_broken:
        return _prevented(policy, counts, evaluation, today)
    return _averted(policy, spoken, counts, today)


def _given(sentence: str, counts: dict[str, DayCounts]) -> Remediation:
    return Remediation(sentence, tuple(counts[day] for day in sorted(counts)))


def _prevented(policy: Policy, counts: dict[str, DayCounts], evaluation: Evaluation, today: date) -> Remediation:
    """Undo, rule by rule, what the evaluation rests on, until it is another one."""
    things: list[str] = []
    while evaluation.is_broken:
        rule = next(one for one in policy.rules if one.name == evaluation.rule)
        thing, repaired = _undo(rule, policy, evaluation.days, today)
        things.append(thing)
        counts = counts | {repaired.day: repaired}
        evaluation = evaluate(policy, tuple(counts.values()), today)
    text = ", and ".join(things)
    return _given(f"{text[0].upper()}{text[1:]} would have prevented it.", counts)


def _undo(rule: Rule, policy: Policy, window: Sequence[DayCounts], today: date) -> tuple[str, DayCounts]:
    if isinstance(rule, DayRule):
        alone = replace(policy, rules=(rule,))
        return _undo_day(rule, next(day for day in window if evaluate(alone, (day,), today).is_broken))
    known = {day.day: day for day in window}
    span = rule.days if isinstance(rule, StreakRule) else policy.window_days
    first = (today - timedelta(days=span - 1)).isoformat()
    healed = known.get(first, DayCounts(first))
    healed = replace(healed, success=healed.success + 1)
    if isinstance(rule, StreakRule):
        days = f"any one of the {_number(span)} days from {first} to {today}" if span > 1 else str(today)
        return f"one success on {days}", healed
    return f"one successful delivery {f'between {first} and {today}' if span > 1 else f'on {today}'}", healed


def _undo_day(rule: DayRule, day: DayCounts) -> tuple[str, DayCounts]:
    if rule.fatal_min is not None and day.fatal >= rule.fatal_min:
        thing = _fewer_than(rule.fatal_min, "fatal outcome")
        return f"{thing} on {day.day}", replace(day, fatal=rule.fatal_min - 1)
    fewer = day.timeout - (rule.timeout_min or 1) + 1
    thing = (
        f"{_fewer_than(rule.timeout_min or 1, 'time-out')} on {day.day}: {fewer} fewer, answered with success instead,"
    )
    if rule.timeout_share_above >= 0:
        attempts = sum(getattr(day, name) for name in EVALUATED_CLASSES)
        answered = max(1, day.timeout - floor(rule.timeout_share_above * attempts))
        if answered < fewer:
            fewer = answered
            thing = f"answers to {_share(rule)} of the {attempts} attempts on {day.day}: {fewer} more, with success,"
    return thing, replace(day, timeout=day.timeout - fewer, success=day.success + fewer)


def _averted(policy: Policy, rule: Rule, counts: dict[str, DayCounts], today: date) -> Remediation:
    if isinstance(rule, DayRule):
        return _averted_day(policy, rule, counts, today)
    now = counts.get(today.isoformat(), DayCounts(today.isoformat()))
    healed = counts | {now.day: replace(now, success=now.success + 1)}
    last_success = max((day.day for day in counts.values() if day.success), default="")
    if isinstance(rule, NoSuccessRule) and last_success:
        end = date.fromisoformat(last_success) + timedelta(days=policy.window_days)
        return _given(f"One successful delivery before {end} would stop it.", healed)
    if isinstance(rule, NoSuccessRule):
        limit = f"{counted(rule.failures_min, 'failure')} over {counted(rule.failing_days_min, 'day')}"
        return _given(
            f"One successful delivery, before there {noun(rule.failures_min, 'is', 'are')} {limit}, would stop it.",
            healed,
        )
    days = "a day has" if rule.days == 1 else f"{_number(rule.days)} days in a row have"
    limit = f"{days} had errors and no success"
    return _given(f"One successful delivery, before {limit}, would stop it.", healed)


def _averted_day(policy: Policy, rule: DayRule, counts: dict[str, DayCounts], today: date) -> Remediation:
    """Return how much is left of the day that is nearest; only today's counts can still grow."""
    alone = replace(policy, rules=(rule,))
    nearest = max(counts.values(), key=lambda day: (evaluate(alone, (day,), today).progress, day.day), default=None)
    if nearest is None or rule.timeout_min is None or not nearest.timeout:
        return _given("", counts)
    if nearest.day != today.isoformat():
        gone = date.fromisoformat(nearest.day) + timedelta(days=policy.window_days)
        return _given(f"Nothing has to be done: {nearest.day} is over, and leaves the window on {gone}.", counts)
    if nearest.timeout < rule.timeout_min:
        so_far = f"{noun(nearest.timeout, 'has', 'have')} been {counted(nearest.timeout, 'time-out')} so far"
        limit = f"{rule.timeout_min} within the day would disable it"
        return _given(f"There {so_far} on {nearest.day}, and {limit}.", counts)
    return _given(f"Answers to {_share(rule)} of all attempts on {nearest.day} would stop it.", counts)


def _fewer_than(limit: int, one: str) -> str:
    return f"no {one}" if limit == 1 else f"fewer than {limit} {one}s"


def _share(rule: DayRule) -> str:
    return "at least half" if rule.timeout_share_above == 0.5 else f"at least {1 - rule.timeout_share_above:.0%}"


def _number(count: int) -> str:
    return {7: "seven"}.get(count, str(count))
