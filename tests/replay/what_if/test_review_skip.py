"""A margin is never too large: within it nothing can follow, whatever is recorded."""

from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.decisions.review import what_follows
from eventstore.policies.day_counts import COUNTED_CLASSES, DayCounts
from eventstore.policies.evaluation import evaluate
from eventstore.policies.policy import BALANCED, SENTRY_2024, DayRule, Policy, StreakRule
from replay.what_if.review_skip import UNLIMITED, Past, ReviewSkip, SkipRule
from tests.eventstore.policy_strategies import WINDOW_DAYS, policies

TODAY = date(2026, 3, 9)


@dataclass
class Case:
    """An installation at a moment, and the policy that is asked about it."""

    policy: Policy
    past: dict[str, list[int]]
    today: list[int]
    warned_level: int
    is_warned: bool
    is_frozen: bool

    def margin(self) -> ReviewSkip:
        rule = SkipRule(self.policy, is_warned=self.is_warned)
        past = rule.past(self.past, TODAY.isoformat())
        return rule.margin(past, self.today, self.warned_level, is_frozen=self.is_frozen)

    def follows(self) -> str:
        days = [DayCounts(day, *tally) for day, tally in {**self.past, TODAY.isoformat(): self.today}.items()]
        step = what_follows(evaluate(self.policy, days, TODAY), self.warned_level, is_warned=self.is_warned)
        return "" if self.is_frozen and step in ("disable", "warn") else step


def near(policy: Policy) -> list[int]:
    """Return counts about the limits of a policy's rules, where something may follow from one more."""
    limits = [getattr(rule, name, None) or 1 for rule in policy.rules for name in ("timeout_min", "failures_min")]
    edges = {int(limit * share) + step for limit in limits for share in (0.5, 0.9, 1, 2) for step in (-1, 0, 1)}
    return sorted({0, 1, 2, *(edge for edge in edges if edge > 0)})


@st.composite
def cases(draw: st.DrawFn) -> Case:
    policy = draw(policies(rules_max=3) | st.sampled_from((BALANCED, SENTRY_2024)))
    counts = st.sampled_from(near(policy)) | st.just(0)
    tallies = st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("timeout", "client_error", "server_error", "rate_limited", "fatal"), counts)
    )
    healed = st.tuples(tallies, counts).map(lambda parts: {**parts[0], "success": parts[1]})
    past = draw(st.dictionaries(st.integers(1, WINDOW_DAYS + 1), tallies | tallies | healed))
    return Case(
        policy=policy,
        past={(TODAY - timedelta(days=ago)).isoformat(): tally(**values) for ago, values in past.items()},
        today=tally(**draw(tallies | healed)),
        warned_level=draw(st.sampled_from((0, 50, 90))),
        is_warned=draw(st.booleans()),
        is_frozen=draw(st.sampled_from((False, False, True))),
    )


@settings(max_examples=400)
@given(cases())
def test_a_review_is_due_exactly_when_something_follows(case: Case) -> None:
    assert case.margin().is_due is bool(case.follows())


@settings(max_examples=400)
@given(cases(), st.data())
def test_nothing_follows_from_what_is_recorded_within_a_margin(case: Case, data: st.DataObject) -> None:
    margin = case.margin()
    if margin.is_due:
        return

    left = {True: min(margin.successes, 3_000), False: min(margin.failures, 3_000)}
    for _ in range(data.draw(st.integers(1, 4))):
        counted = data.draw(st.sampled_from(("success", "timeout", "client_error", "server_error", "rate_limited")))
        is_success = counted == "success"
        count = data.draw(st.just(left[is_success]) | st.integers(0, left[is_success]))
        case.today[COUNTED_CLASSES.index(counted)] += count
        left[is_success] -= count
        assert case.follows() == ""


@pytest.mark.parametrize(
    ("past", "today", "level", "expected"),
    [
        ({}, {}, 0, 499),
        ({}, {"server_error": 400}, 0, 499),
        ({}, {"timeout": 450, "success": 1}, 0, 49),
        ({}, {"timeout": 500, "success": 4_500}, 0, 999),
        ({1: {"success": 1}}, {"server_error": 30}, 0, 499),
        ({1: {"server_error": 3}}, {"server_error": 1}, 0, 0),
        ({1: {"server_error": 4}, 2: {"server_error": 4}}, {"server_error": 0}, 50, 0),
        ({1: {"server_error": 4}, 4: {"success": 1}}, {"server_error": 9}, 50, 899),
        ({}, {"timeout": 500, "success": 100}, 50, 399),
        ({}, {"timeout": 600, "success": 1_700}, 50, 49),
        ({1: {"timeout": 600}}, {"timeout": 100, "success": 1}, 50, 799),
    ],
)
def test_a_margin_is_as_large_as_the_way_to_the_next_level(
    past: dict[int, dict[str, int]], today: dict[str, int], level: int, expected: int
) -> None:
    rule = SkipRule(BALANCED, is_warned=True)
    days = {(TODAY - timedelta(days=ago)).isoformat(): tally(**values) for ago, values in past.items()}

    margin = rule.margin(rule.past(days, TODAY.isoformat()), tally(**today), level, is_frozen=False)

    assert margin.failures == expected


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        ({}, Past(7, 0, 0, 0, 0.0)),
        ({1: {"client_error": 2}, 2: {"timeout": 3}}, Past(7, 5, 2, 1, 0.003)),
        ({1: {"client_error": 1}, 3: {"client_error": 1}}, Past(7, 2, 2, 1, 0.0)),
        ({2: {"client_error": 1}, 3: {"client_error": 1}}, Past(7, 2, 2, 0, 0.0)),
        ({1: {"client_error": 1}, 2: {"success": 1, "client_error": 9}, 5: {"success": 1}}, Past(2, 1, 1, 1, 0.0)),
        ({6: {"client_error": 1}, 7: {"success": 1}}, Past(7, 1, 1, 0, 0.0)),
        ({4: {"fatal": 1}}, Past(7, 0, 0, 0, 1.0)),
        ({1: {"server_error": 9}}, Past(7, 0, 0, 0, 0.0)),
    ],
)
def test_the_past_of_a_window_is_what_its_days_come_to(past: dict[int, dict[str, int]], expected: Past) -> None:
    days = {(TODAY - timedelta(days=ago)).isoformat(): tally(**values) for ago, values in past.items()}

    assert SkipRule(SENTRY_2024, is_warned=True).past(days, TODAY.isoformat()) == expected


def test_a_day_without_an_error_yet_is_looked_at_again_with_its_next_failure() -> None:
    rule = SkipRule(Policy("p", 1, 7, ("client_error",), (StreakRule("streak", 5),)), is_warned=True)

    # Three days of 5 are 60 percent, and with an error of today it would be 90.
    assert rule.margin(Past(7, 3, 3, 3, 0.0), tally(rate_limited=1), 50, is_frozen=False).failures == 0
    assert rule.margin(Past(7, 3, 3, 2, 0.0), tally(rate_limited=1), 0, is_frozen=False).failures == 0
    assert rule.margin(Past(7, 3, 3, 3, 0.0), tally(rate_limited=1), 90, is_frozen=False).failures > 1_000


def test_what_holds_a_warned_one_by_fatal_outcomes_is_looked_at_each_time() -> None:
    rule = SkipRule(Policy("p", 1, 7, (), (DayRule("day", fatal_min=2, timeout_min=9),)), is_warned=True)

    assert rule.margin(Past(7, 0, 0, 0, 0.0), tally(fatal=1), 50, is_frozen=False) == ReviewSkip(0, 0)


def test_what_holds_a_warned_one_by_its_share_of_time_outs_is_halved_for_failures_and_successes() -> None:
    rule = SkipRule(BALANCED, is_warned=True)
    past = rule.past({}, TODAY.isoformat())

    # With 100 more that are not time-outs, 600 are a quarter of them all: half of the half.
    assert rule.margin(past, tally(timeout=600, success=1_700), 50, is_frozen=False) == ReviewSkip(49, 49)


def test_a_success_of_one_that_nobody_was_warned_of_is_never_looked_at() -> None:
    rule = SkipRule(BALANCED, is_warned=True)

    assert rule.margin(rule.past({}, TODAY.isoformat()), tally(), 0, is_frozen=False).successes == UNLIMITED


def tally(**values: int) -> list[int]:
    return [values.get(name, 0) for name in COUNTED_CLASSES]
