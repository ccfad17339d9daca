import re
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from eventstore.policies.day_counts import COUNTED_CLASSES, DayCounts
from eventstore.policies.evaluation import Evaluation, as_evaluated, evaluate
from eventstore.policies.policy import BALANCED, POLICIES, SENTRY_2024, Policy

TODAY = date(2025, 2, 7)


def on(days_ago: int, **counts: Any) -> DayCounts:
    return DayCounts((TODAY - timedelta(days=days_ago)).isoformat(), **counts)


def evaluation_of(policy: Policy, *days: DayCounts, today: date = TODAY) -> Evaluation:
    return evaluate(policy, days, today)


def is_broken(policy: Policy, *days: DayCounts) -> bool:
    return evaluation_of(policy, *days).is_broken


policies = st.sampled_from(list(POLICIES.values()))
counts = st.integers(0, 3) | st.integers(0, 2500)
histories = st.dictionaries(
    st.integers(-1, 8), st.fixed_dictionaries({}, optional=dict.fromkeys(COUNTED_CLASSES, counts)), max_size=8
).map(lambda days: [on(days_ago, **values) for days_ago, values in days.items()])


def test_nothing_recorded_is_not_broken_and_not_near() -> None:
    evaluation = evaluation_of(BALANCED)

    assert (evaluation.is_broken, evaluation.progress, evaluation.rule, evaluation.explanation) == (False, 0.0, "", "")


@pytest.mark.parametrize("policy", POLICIES.values(), ids=lambda policy: policy.name)
@pytest.mark.parametrize(("timeouts", "expected"), [(999, False), (1000, True)])
def test_day_with_a_thousand_timeouts_breaks(policy: Policy, timeouts: int, expected: bool) -> None:
    assert is_broken(policy, on(0, timeout=timeouts, success=1)) is expected


def test_timeouts_of_two_days_are_not_added_up() -> None:
    assert not is_broken(SENTRY_2024, on(0, timeout=999), on(1, timeout=999))


@pytest.mark.parametrize(("days", "expected"), [(6, False), (7, True)])
def test_sentry_breaks_after_seven_error_days(days: int, expected: bool) -> None:
    assert is_broken(SENTRY_2024, *(on(days_ago, client_error=1) for days_ago in range(days))) is expected


def test_sentry_seven_error_days_that_ended_yesterday_are_not_enough() -> None:
    assert not is_broken(SENTRY_2024, *(on(days_ago, client_error=1) for days_ago in range(1, 8)))


@pytest.mark.parametrize("silent_day", range(7))
def test_sentry_silent_day_in_the_streak_resets_it(silent_day: int) -> None:
    days = [on(days_ago, client_error=5) for days_ago in range(7) if days_ago != silent_day]

    assert not is_broken(SENTRY_2024, *days)


@pytest.mark.parametrize("day", range(7))
def test_sentry_one_success_hides_an_error_day(day: int) -> None:
    days = [on(days_ago, client_error=5, success=int(days_ago == day)) for days_ago in range(7)]

    assert not is_broken(SENTRY_2024, *days)


def test_sentry_fatal_day_breaks_at_once_in_spite_of_successes() -> None:
    evaluation = evaluation_of(SENTRY_2024, on(6, fatal=1, success=1000))

    assert (evaluation.is_broken, evaluation.rule) == (True, "fatal-day")


def test_sentry_names_the_classes_of_a_day_in_their_order() -> None:
    week = [on(days_ago, client_error=1) for days_ago in range(1, 7)]

    assert evaluation_of(SENTRY_2024, *week, on(0, client_error=1, timeout=1000, fatal=1)).rule == "fatal-day"
    assert evaluation_of(SENTRY_2024, *week, on(0, client_error=1, timeout=1000)).rule == "timeout-day"
    assert evaluation_of(SENTRY_2024, *week, on(0, client_error=1)).rule == "seven-error-days"


def test_a_connection_that_ends_before_an_answer_is_a_time_out_for_sentry_and_an_error_for_balanced() -> None:
    day = on(0, no_answer=999, timeout=1, protocol=2)

    assert evaluation_of(SENTRY_2024, day).rule == "timeout-day"
    assert is_broken(SENTRY_2024, day)
    assert as_evaluated(SENTRY_2024, day) == on(0, timeout=1000, protocol=2)
    assert as_evaluated(BALANCED, day) == on(0, timeout=1, protocol=1001)
    assert evaluation_of(BALANCED, day).days == (on(0, timeout=1, protocol=1001),)


@pytest.mark.parametrize("counted", ["redirect", "rate_limited", "server_error", "protocol"])
def test_sentry_never_breaks_by_what_is_no_4xx(counted: str) -> None:
    assert evaluation_of(SENTRY_2024, *(on(days_ago, **{counted: 900}) for days_ago in range(7))).progress == 0.0


@pytest.mark.parametrize("counted", ["redirect", "client_error", "server_error", "protocol", "no_answer", "timeout"])
def test_balanced_breaks_by_every_class_of_failure(counted: str) -> None:
    assert is_broken(BALANCED, *(on(days_ago, **{counted: 4}) for days_ago in range(3)))


def test_balanced_never_breaks_by_429() -> None:
    assert evaluation_of(BALANCED, *(on(days_ago, rate_limited=900) for days_ago in range(7))).progress == 0.0


def test_balanced_and_not_sentry_takes_410_as_a_wish_to_be_disabled() -> None:
    assert BALANCED.gone_disables
    assert not SENTRY_2024.gone_disables


@pytest.mark.parametrize(("last", "expected"), [(1, False), (2, True)])
def test_balanced_needs_ten_failures(last: int, expected: bool) -> None:
    assert is_broken(BALANCED, on(0, server_error=last), on(1, timeout=4), on(2, redirect=4)) is expected


@pytest.mark.parametrize(("days", "expected"), [(2, False), (3, True)])
def test_balanced_needs_three_failing_days(days: int, expected: bool) -> None:
    assert is_broken(BALANCED, *(on(days_ago, server_error=30) for days_ago in range(days))) is expected


def test_balanced_is_healed_by_one_success_in_the_window() -> None:
    days = [on(days_ago, server_error=30) for days_ago in range(6)]

    assert not is_broken(BALANCED, *days, on(6, success=1))


def test_balanced_success_before_the_window_heals_nothing() -> None:
    assert is_broken(BALANCED, *(on(days_ago, server_error=30) for days_ago in range(6)), on(7, success=1))


def test_balanced_days_without_traffic_neither_break_nor_heal() -> None:
    assert is_broken(BALANCED, on(0, server_error=4), on(3, server_error=4), on(6, server_error=4))
    assert not is_broken(BALANCED, on(0, server_error=9), on(6, server_error=9))


def test_balanced_is_still_broken_on_a_day_without_traffic() -> None:
    assert is_broken(BALANCED, *(on(days_ago, server_error=4) for days_ago in (1, 2, 3)))


@pytest.mark.parametrize(("successes", "expected"), [(1000, False), (999, True)])
def test_balanced_timeouts_must_be_more_than_half_of_the_day(successes: int, expected: bool) -> None:
    assert is_broken(BALANCED, on(0, timeout=1000, success=successes)) is expected


def test_balanced_takes_every_class_as_an_attempt_of_the_day() -> None:
    others = {name: 200 for name in COUNTED_CLASSES if name not in ("timeout", "success", "fatal", "no_answer")}

    assert is_broken(BALANCED, on(0, timeout=1002, success=1, **others))
    assert not is_broken(BALANCED, on(0, timeout=1001, success=1, **others))


@pytest.mark.parametrize("days_ago", [-1, 7])
def test_day_outside_the_window_is_passed_over(days_ago: int) -> None:
    evaluation = evaluation_of(SENTRY_2024, on(days_ago, timeout=5000))

    assert (evaluation.is_broken, evaluation.progress, evaluation.days) == (False, 0.0, ())


def test_first_day_of_the_window_counts() -> None:
    assert is_broken(SENTRY_2024, on(6, timeout=1000))


def test_midnight_moves_the_window() -> None:
    day = on(6, timeout=1000)

    assert evaluation_of(SENTRY_2024, day, today=TODAY).is_broken
    assert not evaluation_of(SENTRY_2024, day, today=TODAY + timedelta(days=1)).is_broken


def test_verdict_holds_its_days_oldest_first() -> None:
    evaluation = evaluation_of(BALANCED, on(0, success=1), on(2, success=1), on(1, success=1))

    assert [day.day for day in evaluation.days] == ["2025-02-05", "2025-02-06", "2025-02-07"]


def test_verdict_names_policy_version_rule_and_figures() -> None:
    evaluation = evaluation_of(BALANCED, *(on(days_ago, server_error=4) for days_ago in range(3)))

    assert (evaluation.policy, evaluation.policy_version, evaluation.rule) == ("balanced", 1, "no-success")
    assert "12 failures over 3 days" in evaluation.explanation


@given(policies, histories)
def test_of_one_nothing_is_said_in_the_plural(policy: Policy, days: list[DayCounts]) -> None:
    explanation = evaluate(policy, days, TODAY).explanation

    assert not re.search(r"(?<![\d-])1 (\w|-)*s\b", explanation.replace("success", "")), explanation


@pytest.mark.parametrize(
    ("policy", "day", "said"),
    [
        (BALANCED, on(0, server_error=1), "1 failure over 1 day "),
        (SENTRY_2024, on(0, timeout=1), "1 time-out on 2025-02-07"),
        (SENTRY_2024, on(0, client_error=1), "1 day with errors and no success"),
        (SENTRY_2024, on(0, fatal=1), "1 fatal outcome on"),
    ],
)
def test_one_is_said_in_the_singular(policy: Policy, day: DayCounts, said: str) -> None:
    assert said in evaluation_of(policy, day).explanation


def test_nearness_of_what_is_not_broken_stays_below_the_limit() -> None:
    assert evaluation_of(SENTRY_2024, on(0, timeout=999)).progress == 0.99


@pytest.mark.parametrize("today", [{}, {"timeout": 1}, {"rate_limited": 1}])
def test_nearness_of_a_streak_waits_for_an_error_or_a_success_of_today(today: dict[str, int]) -> None:
    days = [on(days_ago, client_error=1) for days_ago in range(1, 4)]

    assert evaluation_of(SENTRY_2024, *days, on(0, **today)).progress == pytest.approx(3 / 7)
    assert evaluation_of(SENTRY_2024, *days, on(0, success=1, **today)).progress < 0.1


@given(policies, histories)
def test_nearness_is_within_0_and_1_and_is_1_exactly_when_broken(policy: Policy, days: list[DayCounts]) -> None:
    evaluation = evaluation_of(policy, *days)

    assert 0.0 <= evaluation.progress <= 1.0
    assert (evaluation.progress == 1.0) is evaluation.is_broken


@given(policies, histories, st.randoms(use_true_random=False))
def test_order_of_the_days_changes_nothing(policy: Policy, days: list[DayCounts], random: Any) -> None:
    shuffled = list(days)
    random.shuffle(shuffled)

    assert evaluation_of(policy, *shuffled) == evaluation_of(policy, *days)


def more(days: list[DayCounts], days_ago: int, counted: str) -> list[DayCounts]:
    name = on(days_ago).day
    known = {day.day: day for day in days}
    day = known.get(name, DayCounts(name))
    return list((known | {name: replace(day, **{counted: getattr(day, counted) + 1})}).values())


@given(policies, histories, st.integers(0, 6))
def test_another_timeout_never_lowers_nearness(policy: Policy, days: list[DayCounts], days_ago: int) -> None:
    assert evaluation_of(policy, *more(days, days_ago, "timeout")).progress >= evaluation_of(policy, *days).progress


@given(histories, st.integers(0, 6), st.sampled_from(BALANCED.errors))
def test_another_failure_never_lowers_nearness_of_silence(days: list[DayCounts], days_ago: int, counted: str) -> None:
    policy = Policy("silence", 1, 7, BALANCED.errors, BALANCED.rules[1:])

    assert evaluation_of(policy, *more(days, days_ago, counted)).progress >= evaluation_of(policy, *days).progress


@given(histories, st.integers(0, 6), st.sampled_from(("client_error", "fatal", "timeout")))
def test_another_failure_never_lowers_nearness_by_sentry(days: list[DayCounts], days_ago: int, counted: str) -> None:
    before, after = evaluation_of(SENTRY_2024, *days), evaluation_of(SENTRY_2024, *more(days, days_ago, counted))

    assert after.progress >= before.progress


@given(policies, histories, st.integers(0, 6))
def test_another_success_never_breaks(policy: Policy, days: list[DayCounts], days_ago: int) -> None:
    assert is_broken(policy, *days) or not is_broken(policy, *more(days, days_ago, "success"))
