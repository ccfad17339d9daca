"""What of a policy can never come to anything: rules that cannot fire, limits without effect. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from msgspec import structs

from eventstore.common.plural import counted
from eventstore.policies.breaker import DAY_S, BreakerRule, attempts_of_a_dead_endpoint
from eventstore.policies.policy import DayRule, Policy, Rule, SilenceRule, StreakRule

__all__ = ["PolicyFault", "check_policy", "out_of_reach"]

_IMPORTED = "nothing records a fatal outcome, only imported counts can have one"


@dataclass(frozen=True, slots=True)
class PolicyFault:
    """A part of a policy that comes to nothing, and why; `rule` is empty where it is the policy as a whole.

    `fires`: the rule never does, only by imported counts, or it does and a part of it is idle.
    """

    rule: str
    fires: Literal["never", "imported", "in part"]
    reason: str


def check_policy(policy: Policy) -> tuple[PolicyFault, ...]:
    """Find the rules that can never fire, whatever is recorded, and the limits that change nothing.

    A rule of which it says never can be left out. Whether several earlier rules together leave a later one
    nothing to fire at is not looked for.
    """
    if not policy.rules and not policy.gone_disables:
        return (PolicyFault("", "never", "it has no rules, and gone_disables is false: nobody is warned or disabled"),)
    faults: list[PolicyFault] = []
    earlier: list[Rule] = []
    for rule in policy.rules:
        never = _reason(rule, earlier, policy)
        faults += [PolicyFault(rule.name, "never", never)] if never else _idle(rule, earlier, policy)
        if not never:
            earlier.append(rule)
    return tuple(faults)


def out_of_reach(policy: Policy, breaker: BreakerRule | None) -> tuple[tuple[str, str], ...]:
    """Name the rules whose time-outs an endpoint that never answers does not reach beside the breaker, and why.

    They are no faults: an endpoint that answers now and then keeps the breaker closed, and can reach them.
    """
    if breaker is None:
        return ()
    first, later = attempts_of_a_dead_endpoint(breaker)
    return tuple(
        (rule.name, _beside_breaker(rule.timeout_min, first, later))
        for rule in policy.rules
        if isinstance(rule, DayRule) and rule.timeout_min is not None and rule.timeout_min > max(first, later)
    )


def _beside_breaker(timeout_min: int, first: int, later: int) -> str:
    waits_s = DAY_S // timeout_min
    shorter = f"[breaker] open_s and open_max_s of {waits_s} s at most, or " if waits_s else ""
    return (
        f"an endpoint that never answers is tried {first} times on its first day and {later} times on a later one, as"
        f" the breaker holds back the rest; {timeout_min} time-outs are reached only by one that answers in between."
        f" {shorter}[breaker] dry_run = true or enabled = false would let it"
    )


def _reason(rule: Rule, earlier: Sequence[Rule], policy: Policy) -> str:
    return _impossible(rule, policy) or _shadowed(rule, earlier, policy)


def _idle(rule: Rule, earlier: Sequence[Rule], policy: Policy) -> Iterator[PolicyFault]:
    """Find what is idle in a rule that can fire."""
    if isinstance(rule, StreakRule) and set(policy.errors) == {"fatal"}:
        yield PolicyFault(rule.name, "imported", _IMPORTED)
    if not isinstance(rule, DayRule):
        return
    if rule.fatal_min is not None:
        rest = _reason(structs.replace(rule, fatal_min=None), earlier, policy)
        yield PolicyFault(rule.name, "imported" if rest else "in part", f"fatal_min: {_IMPORTED}")
        if rest and rule.timeout_min is not None:
            yield PolicyFault(rule.name, "in part", f"timeout_min: {rest}")
    if rule.timeout_min is None and rule.timeout_share_above != -1:
        yield PolicyFault(rule.name, "in part", "timeout_share_above says nothing without timeout_min")


def _impossible(rule: Rule, policy: Policy) -> str:
    """Say why no history makes a rule fire, empty = one does."""
    if isinstance(rule, DayRule):
        return "" if rule.fatal_min is not None or _counts_timeouts(rule) else _limitless(rule)
    if isinstance(rule, StreakRule):
        if not policy.errors:
            return "errors names no class: no day has any"
        return _beyond_window("days", rule.days, policy)
    return _beyond_window("failing_days_min", rule.failing_days_min, policy)


def _counts_timeouts(rule: DayRule) -> bool:
    return rule.timeout_min is not None and rule.timeout_share_above < 1


def _limitless(rule: DayRule) -> str:
    if rule.timeout_min is None:
        return "it has neither fatal_min nor timeout_min"
    return f"timeout_share_above is {rule.timeout_share_above:g}: time-outs are never more than all of a day's attempts"


def _beyond_window(name: str, days: int, policy: Policy) -> str:
    if days <= policy.window_days:
        return ""
    return f"{name} is {days}, and the window has {counted(policy.window_days, 'day')}"


def _shadowed(rule: Rule, earlier: Sequence[Rule], policy: Policy) -> str:
    """Say which earlier rule fires whenever this one would, empty = none."""
    name = next((one.name for one in earlier if _implies(rule, one, policy)), "")
    return f"whenever it would, {name} has fired before it" if name else ""


def _implies(rule: Rule, other: Rule, policy: Policy) -> bool:
    """Say whether every history that makes a rule fire makes the other one fire too."""
    if isinstance(other, DayRule):
        return _implies_day(rule, other, policy)
    if isinstance(rule, DayRule):
        return False  # beside a success, which ends streaks and silences
    if isinstance(other, StreakRule):
        if isinstance(rule, StreakRule):
            return other.days <= rule.days
        # A silence over every day of the window is a streak, where a day of time-outs is a day of errors.
        is_unbroken = rule.failing_days_min >= policy.window_days and "timeout" in policy.errors
        return is_unbroken and other.days <= policy.window_days
    if isinstance(rule, StreakRule):
        # A streak as long as the window is a silence, with a failure a day at least.
        least = rule.days if rule.days >= policy.window_days else 0
        return other.failures_min <= least and other.failing_days_min <= least
    return other.failures_min <= _least_failures(rule) and other.failing_days_min <= rule.failing_days_min


def _least_failures(rule: SilenceRule) -> int:
    return max(rule.failures_min, rule.failing_days_min)


def _implies_day(rule: Rule, other: DayRule, policy: Policy) -> bool:
    if isinstance(rule, DayRule):
        is_fatal_covered = rule.fatal_min is None or (other.fatal_min is not None and other.fatal_min <= rule.fatal_min)
        return is_fatal_covered and (
            not _counts_timeouts(rule) or _covers(other, rule.timeout_min or 0, max(0.0, rule.timeout_share_above))
        )
    if set(policy.errors) - {"timeout"}:
        return False
    # All failures are time-outs: so many are on the worst day at least, beside any number of other outcomes.
    least = 1 if isinstance(rule, StreakRule) else -(-_least_failures(rule) // policy.window_days)
    return _covers(other, least, 0.0)


def _covers(other: DayRule, timeouts: int, share_above: float) -> bool:
    """Say whether a rule fires at every day with so many time-outs that are more than such a share."""
    return other.timeout_min is not None and other.timeout_min <= timeouts and other.timeout_share_above <= share_above
