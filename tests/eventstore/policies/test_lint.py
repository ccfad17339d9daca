"""A policy's rules that can never fire are pointed out, and no other ones."""

from collections.abc import Iterator
from datetime import date, timedelta
from math import ceil
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.policies.day_counts import COUNTED_CLASSES, DayCounts
from eventstore.policies.evaluation import evaluate
from eventstore.policies.lint import PolicyFault, check_policy
from eventstore.policies.policy import BALANCED, SENTRY_2024, DayRule, NoSuccessRule, Policy, Rule, StreakRule
from tests.eventstore.policy_strategies import WINDOW_DAYS, policies

TODAY = date(2025, 2, 7)


def on(days_ago: int, **counts: int) -> DayCounts:
    return DayCounts((TODAY - timedelta(days=days_ago)).isoformat(), **counts)


def policy(*rules: Rule, window_days: int = 7, errors: tuple[str, ...] = ("client_error", "server_error")) -> Policy:
    return Policy("mine", 1, window_days, errors, rules)


def reasons(*rules: Rule, **fields: Any) -> list[str]:
    return [f"{fault.rule}: {fault.fires}: {fault.reason}" for fault in check_policy(policy(*rules, **fields))]


def test_balanced_is_all_right() -> None:
    assert check_policy(BALANCED) == ()


def test_of_sentry_2024_the_fatal_day_is_pointed_out_as_nothing_records_it() -> None:
    (fault,) = check_policy(SENTRY_2024)

    assert (fault.rule, fault.fires) == ("fatal-day", "imported")
    assert "nothing records a fatal outcome" in fault.reason


def test_a_policy_without_rules_is_pointed_out_unless_410_disables() -> None:
    assert check_policy(policy()) == (
        PolicyFault("", "never", "it has no rules, and gone_disables is false: nobody is warned or disabled"),
    )
    assert check_policy(Policy("mine", 1, 7, (), (), gone_disables=True)) == ()


@pytest.mark.parametrize(
    ("rule", "fields", "reason"),
    [
        (StreakRule("r", 8), {}, "never: days is 8, and the window has 7 days"),
        (StreakRule("r", 2), {"window_days": 1}, "never: days is 2, and the window has 1 day"),
        (StreakRule("r", 3), {"errors": ()}, "never: errors names no class: no day has any"),
        (NoSuccessRule("r", 1, 8), {}, "never: failing_days_min is 8, and the window has 7 days"),
        (DayRule("r"), {}, "never: it has neither fatal_min nor timeout_min"),
        (DayRule("r", timeout_share_above=0.5), {}, "never: it has neither fatal_min nor timeout_min"),
        (DayRule("r", timeout_min=1, timeout_share_above=1.0), {}, "never: timeout_share_above is 1: time-outs are"),
        (DayRule("r", fatal_min=1), {}, "imported: fatal_min: nothing records a fatal outcome"),
        (StreakRule("r", 3), {"errors": ("fatal",)}, "imported: nothing records a fatal outcome"),
        (DayRule("r", fatal_min=1, timeout_min=9), {}, "in part: fatal_min: nothing records a fatal outcome"),
    ],
)
def test_what_comes_to_nothing_by_itself_is_pointed_out(rule: Rule, fields: dict[str, Any], reason: str) -> None:
    (found,) = reasons(rule, **fields)

    assert found.startswith(f"r: {reason}")


def test_limits_that_say_nothing_beside_others_are_pointed_out() -> None:
    assert reasons(DayRule("r", fatal_min=1, timeout_share_above=0.5))[1:] == [
        "r: in part: timeout_share_above has no effect without timeout_min"
    ]
    assert reasons(DayRule("r", fatal_min=1, timeout_min=3, timeout_share_above=1.0))[1].startswith(
        "r: in part: timeout_min: timeout_share_above is 1"
    )


counts = st.integers(0, 3) | st.integers(0, 2_500)
outcomes = st.fixed_dictionaries(
    {}, optional=dict.fromkeys([name for name in COUNTED_CLASSES if name != "fatal"], counts)
)
failures = st.fixed_dictionaries({}, optional=dict.fromkeys(("timeout", "client_error", "server_error"), counts))
histories = st.one_of(
    st.dictionaries(st.integers(0, WINDOW_DAYS), outcomes),
    st.lists(failures, min_size=1, max_size=WINDOW_DAYS).map(lambda days: dict(enumerate(days))),
).map(lambda days: [on(days_ago, **values) for days_ago, values in days.items()])


@settings(max_examples=200)
@given(policies(), histories)
def test_what_is_said_never_to_fire_never_does(policy: Policy, days: list[DayCounts]) -> None:
    evaluation = evaluate(policy, days, TODAY)
    silent = {fault.rule for fault in check_policy(policy) if fault.fires != "in part"}

    assert not (evaluation.is_broken and evaluation.rule in silent)
    assert not (evaluation.is_broken and "" in silent)


def witnesses(rule: Rule, policy: Policy) -> Iterator[list[DayCounts]]:
    """Return histories that make a rule fire, and as little else as can be."""
    if isinstance(rule, DayRule):
        timeouts, share = (rule.timeout_min or 1) * 1_000, rule.timeout_share_above
        attempts = max(timeouts, ceil(timeouts / share) - 1) if share > 0 else timeouts
        yield [on(0, timeout=timeouts, success=attempts - timeouts)]
        return
    error = next((name for name in policy.errors if name != "fatal"), "timeout")
    if isinstance(rule, StreakRule):
        yield [on(days_ago, **{error: 1}) for days_ago in range(rule.days)]
        return
    for failure in ("timeout", error):
        yield [on(days_ago, **{failure: rule.failures_min}) for days_ago in range(rule.failing_days_min)]


@settings(max_examples=200)
@given(policies(rules_max=1))
def test_what_is_not_pointed_out_does_fire(policy: Policy) -> None:
    silent = {fault.rule for fault in check_policy(policy) if fault.fires != "in part"}

    for rule in policy.rules:
        if rule.name not in silent:
            evaluations = [evaluate(policy, days, TODAY) for days in witnesses(rule, policy)]
            assert rule.name in {evaluation.rule for evaluation in evaluations if evaluation.is_broken}, rule
