"""A policy's rules that can never fire, and its limits without effect. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from msgspec import structs

from eventstore.common.plural import counted
from eventstore.policies.breaker import DAY_S, BreakerRule, attempts_of_a_dead_endpoint
from eventstore.policies.policy import DayRule, Policy, Rule, StreakRule

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

    A rule of which it says never can be left out. Whether earlier rules leave a later one nothing to fire at is not
    looked for.
    """
    if not policy.rules and not policy.gone_disables:
        return (PolicyFault("", "never", "it has no rules, and gone_disables is false: nobody is warned or disabled"),)
    faults: list[PolicyFault] = []
    for rule in policy.rules:
        never = _impossible(rule, policy)
        faults += [PolicyFault(rule.name, "never", never)] if never else _idle(rule, policy)
    return tuple(faults)


def out_of_reach(policy: Policy, breaker: BreakerRule | None) -> tuple[tuple[str, str], ...]:
    """Return the rules whose time-outs an endpoint that never answers does not reach beside the breaker, and why.

    They are not faults: an endpoint that answers now and then keeps the breaker closed, and can reach them.
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


def _idle(rule: Rule, policy: Policy) -> Iterator[PolicyFault]:
    """Find what is idle in a rule that can fire."""
    if isinstance(rule, StreakRule) and set(policy.errors) == {"fatal"}:
        yield PolicyFault(rule.name, "imported", _IMPORTED)
    if not isinstance(rule, DayRule):
        return
    if rule.fatal_min is not None:
        rest = _impossible(structs.replace(rule, fatal_min=None), policy)
        yield PolicyFault(rule.name, "imported" if rest else "in part", f"fatal_min: {_IMPORTED}")
        if rest and rule.timeout_min is not None:
            yield PolicyFault(rule.name, "in part", f"timeout_min: {rest}")
    if rule.timeout_min is None and rule.timeout_share_above != -1:
        yield PolicyFault(rule.name, "in part", "timeout_share_above has no effect without timeout_min")


def _impossible(rule: Rule, policy: Policy) -> str:
    """Return why no history makes a rule fire, empty = one does."""
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
