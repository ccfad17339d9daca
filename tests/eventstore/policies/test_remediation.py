from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from eventstore.policies.day_counts import COUNTED_CLASSES, DayCounts
from eventstore.policies.evaluation import evaluate
from eventstore.policies.policy import BALANCED, POLICIES, SENTRY_2024, DayRule, Policy
from eventstore.policies.remediation import Remediation, suggest_remediation
from tests.eventstore.policy_strategies import policies

TODAY = date(2025, 2, 7)
RULES = [(policy, rule.name) for policy in POLICIES.values() for rule in policy.rules]


def on(days_ago: int, **counts: Any) -> DayCounts:
    return DayCounts((TODAY - timedelta(days=days_ago)).isoformat(), **counts)


def helping(policy: Policy, *days: DayCounts) -> Remediation:
    """Ask what helps by the rule that speaks, and prove it where the days are broken."""
    evaluation = evaluate(policy, days, TODAY)
    remediation = suggest_remediation(policy, days, evaluation.rule, TODAY)
    assert not evaluate(policy, remediation.days, TODAY).is_broken
    return remediation


def changed(before: tuple[DayCounts, ...], remediation: Remediation) -> dict[str, dict[str, int]]:
    """Return by how much each class of each day differs."""
    known = {day.day: day for day in before}
    found = {
        day.day: {
            name: getattr(day, name) - getattr(known.get(day.day, DayCounts(day.day)), name)
            for name in COUNTED_CLASSES
            if getattr(day, name) != getattr(known.get(day.day, DayCounts(day.day)), name)
        }
        for day in remediation.days
    }
    return {day: classes for day, classes in found.items() if classes}


SILENCE = tuple(on(days_ago, server_error=4) for days_ago in (0, 1, 3))
STREAK = tuple(on(days_ago, client_error=2) for days_ago in range(7))


def test_one_successful_delivery_in_the_window_would_have_prevented_a_silence() -> None:
    remediation = helping(BALANCED, *SILENCE)

    assert remediation.sentence == (
        "One successful delivery between 2025-02-01 and 2025-02-07 would have prevented it."
    )
    assert changed(SILENCE, remediation) == {"2025-02-01": {"success": 1}}


@pytest.mark.parametrize("days_ago", range(7))
def test_that_delivery_may_be_on_any_day_that_the_sentence_names(days_ago: int) -> None:
    known = {day.day: day for day in SILENCE}
    healed = known.get(on(days_ago).day, on(days_ago))
    days = (known | {healed.day: replace(healed, success=1)}).values()

    assert not evaluate(BALANCED, tuple(days), TODAY).is_broken


@pytest.mark.parametrize("days_ago", range(7))
def test_one_success_on_any_one_of_the_seven_days_would_have_prevented_a_streak(days_ago: int) -> None:
    remediation = helping(SENTRY_2024, *STREAK)
    healed = tuple(replace(day, success=1) if day.day == on(days_ago).day else day for day in STREAK)

    assert remediation.sentence == (
        "One success on any one of the seven days from 2025-02-01 to 2025-02-07 would have prevented it."
    )
    assert not evaluate(SENTRY_2024, healed, TODAY).is_broken


@pytest.mark.parametrize("timeouts", [1000, 1234])
def test_as_many_timeouts_fewer_as_are_beyond_the_limit_would_have_prevented_it(timeouts: int) -> None:
    days = (on(1, timeout=timeouts, success=9),)
    remediation = helping(SENTRY_2024, *days)
    fewer = timeouts - 999

    assert remediation.sentence == (
        f"Fewer than 1000 time-outs on 2025-02-06: {fewer} fewer, answered with success instead,"
        " would have prevented it."
    )
    assert changed(days, remediation) == {"2025-02-06": {"timeout": -fewer, "success": fewer}}


def test_one_timeout_fewer_than_the_sentence_says_would_not_have_been_enough() -> None:
    assert evaluate(SENTRY_2024, (on(1, timeout=1000, success=1),), TODAY).is_broken


def test_balanced_names_the_smaller_of_fewer_timeouts_and_more_answers() -> None:
    by_count = helping(BALANCED, on(0, timeout=1010, success=100)).sentence
    days = (on(0, timeout=1500, success=1490),)
    by_share = helping(BALANCED, *days)

    assert by_count.startswith("Fewer than 1000 time-outs on 2025-02-07: 11 fewer, ")
    assert by_share.sentence == (
        "Answers to at least half of the 2990 attempts on 2025-02-07: 5 more, with success, would have prevented it."
    )
    assert changed(days, by_share) == {"2025-02-07": {"timeout": -5, "success": 5}}
    assert evaluate(BALANCED, (on(0, timeout=1496, success=1494),), TODAY).is_broken


def test_no_fatal_outcome_would_have_prevented_a_fatal_day() -> None:
    days = (on(2, fatal=3, success=1),)
    remediation = helping(SENTRY_2024, *days)

    assert remediation.sentence == "No fatal outcome on 2025-02-05 would have prevented it."
    assert changed(days, remediation) == {"2025-02-05": {"fatal": -3}}


def test_all_that_is_needed_is_named_where_no_single_thing_would_do() -> None:
    sentence = helping(SENTRY_2024, on(0, fatal=1), on(1, timeout=1000)).sentence

    assert sentence == (
        "No fatal outcome on 2025-02-07, and fewer than 1000 time-outs on 2025-02-06:"
        " 1 fewer, answered with success instead, would have prevented it."
    )


def test_timeouts_that_were_answered_heal_a_silence_too() -> None:
    sentence = helping(BALANCED, on(0, timeout=1000), on(1, server_error=4), on(2, server_error=4)).sentence

    assert sentence.startswith("Fewer than 1000 time-outs on 2025-02-07: 1 fewer")
    assert " and " not in sentence


def test_another_answer_would_have_prevented_the_receiver_s_disabling() -> None:
    remediation = suggest_remediation(BALANCED, [on(0, client_error=1)], "receiver", TODAY)

    assert remediation.sentence == "Any answer other than 410 Gone would have prevented it."


@pytest.mark.parametrize("rule", ["person", "", "a rule of another version"])
def test_nothing_is_named_where_no_rule_of_the_policy_spoke(rule: str) -> None:
    assert suggest_remediation(BALANCED, SILENCE, rule, TODAY) == Remediation("", tuple(sorted(SILENCE, key=str)))


def test_a_success_would_stop_a_silence_before_the_end() -> None:
    days = (on(0, server_error=4), on(1, server_error=4))
    remediation = helping(BALANCED, *days)

    assert remediation.sentence == ("One successful delivery, before there are 10 failures over 3 days, would stop it.")
    assert evaluate(BALANCED, remediation.days, TODAY).progress == 0.0


def test_a_success_would_stop_a_streak_before_the_end() -> None:
    remediation = helping(SENTRY_2024, *(on(days_ago, client_error=1) for days_ago in range(1, 7)))

    assert remediation.sentence == (
        "One successful delivery, before seven days in a row have had errors and no success, would stop it."
    )
    assert evaluate(SENTRY_2024, remediation.days, TODAY).progress == 0.0


@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: policy.name)
def test_staying_below_the_limit_would_stop_a_day_of_timeouts(policy: Policy) -> None:
    assert helping(policy, on(0, timeout=999, success=1)).sentence == (
        "There have been 999 time-outs so far on 2025-02-07, and 1000 within the day would disable it."
    )


def test_answers_would_stop_a_day_that_has_its_thousand_timeouts() -> None:
    assert helping(BALANCED, on(0, timeout=1000, success=1000)).sentence == (
        "Answers to at least half of all attempts on 2025-02-07 would stop it."
    )


def test_a_day_of_timeouts_that_is_over_needs_nothing() -> None:
    assert helping(BALANCED, on(1, timeout=900, success=1)).sentence == (
        "Nothing has to be done: 2025-02-06 is over, and leaves the window on 2025-02-13."
    )


counts = st.integers(0, 3) | st.integers(0, 2500)
histories = st.dictionaries(
    st.integers(-1, 8), st.fixed_dictionaries({}, optional=dict.fromkeys(COUNTED_CLASSES, counts)), max_size=8
).map(lambda days: [on(days_ago, **values) for days_ago, values in days.items()])
# Histories at random are seldom broken by the rules that look at several days.
silences = st.lists(st.fixed_dictionaries({}, optional={"timeout": counts, "client_error": counts}), min_size=7).map(
    lambda days: [on(days_ago, **values) for days_ago, values in enumerate(days)]
)
odd = Policy("odd", 1, 7, ("client_error",), (DayRule("day", fatal_min=3, timeout_min=10, timeout_share_above=0.3),))


@given(st.sampled_from([*POLICIES.values(), odd]) | policies(), histories | silences)
def test_what_would_have_prevented_it_does_when_it_is_applied(policy: Policy, days: list[DayCounts]) -> None:
    evaluation = evaluate(policy, days, TODAY)
    remediation = suggest_remediation(policy, days, evaluation.rule, TODAY)

    assert not evaluate(policy, remediation.days, TODAY).is_broken
    assert bool(evaluation.is_broken) == remediation.sentence.endswith(" would have prevented it.")


@given(st.sampled_from(RULES), histories | silences)
def test_nothing_is_nearer_to_the_end_by_what_is_named(named: tuple[Policy, str], days: list[DayCounts]) -> None:
    policy, rule = named
    before = evaluate(policy, days, TODAY).progress

    assert evaluate(policy, suggest_remediation(policy, days, rule, TODAY).days, TODAY).progress <= before


def test_an_endpoint_that_once_succeeded_is_told_the_day_by_which_it_must_again() -> None:
    days = (
        DayCounts("2025-02-01", success=3),
        DayCounts("2025-02-03", server_error=40),
        DayCounts("2025-02-04", server_error=40),
    )

    remediation = suggest_remediation(BALANCED, days, "no-success", date(2025, 2, 4))

    assert remediation.sentence == "One successful delivery before 2025-02-08 would stop it."
