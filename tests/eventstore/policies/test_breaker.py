from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.policies.breaker import Breaker, BreakerRule, Trip, attempts_of_a_dead_endpoint

START = datetime(2025, 2, 3, 12, tzinfo=UTC)
# The streak is out of the way, so that floor and share are seen alone.
RULE = BreakerRule(window_s=600, failures_min=4, failure_share_min=0.5, streak_min=1000, open_s=300, recovery_s=1200)
BY_STREAK = BreakerRule(failures_min=1000, streak_min=3)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def run(breaker: Breaker, outcomes: str, *, start_s: float = 0.0, step_s: float = 1.0) -> Trip | None:
    """Note "+" as a success and "-" as a failure, one a step, up to the first trip."""
    for number, letter in enumerate(outcomes):
        trip = breaker.note(at(start_s + number * step_s), is_success=letter == "+")
        if trip is not None:
            return trip
    return None


def test_it_opens_at_the_floor_and_not_before() -> None:
    breaker = Breaker(RULE)

    assert run(breaker, "---") is None
    assert run(breaker, "-", start_s=3) == Trip(
        at(303), "4 failures within 600 s, 100% of the attempts (the limit is 4 and 50%)"
    )


def test_it_opens_at_the_share_and_not_below() -> None:
    assert run(Breaker(RULE), "+++++----") is None
    assert run(Breaker(RULE), "++++----") is not None


def test_many_failures_among_more_successes_do_not_open_it() -> None:
    assert run(Breaker(RULE), "++-" * 100) is None


def test_a_quiet_endpoint_opens_it_by_failures_in_a_row_however_far_apart() -> None:
    breaker = Breaker(BY_STREAK)
    trip = run(breaker, "---", step_s=86_400)

    assert trip is not None
    assert trip.explanation == "3 failures in a row (the limit is 3)"


def test_a_success_ends_the_row() -> None:
    assert run(Breaker(BY_STREAK), "--+" * 10) is None


def test_what_is_older_than_the_window_does_not_count() -> None:
    breaker = Breaker(RULE)
    run(breaker, "---", step_s=0)

    assert run(breaker, "-", start_s=600) is None


def test_what_is_younger_than_the_window_counts() -> None:
    breaker = Breaker(RULE)
    run(breaker, "---", step_s=0)

    assert run(breaker, "-", start_s=599.999) is not None


def test_successes_leave_the_window_too() -> None:
    breaker = Breaker(RULE)
    run(breaker, "+" * 100)

    assert run(breaker, "----", start_s=700) is not None


def test_open_is_until_its_moment_and_half_open_from_then_on() -> None:
    breaker = Breaker(RULE)
    breaker.opened(Trip(at(300), ""))

    assert (breaker.is_open(at(299.999)), breaker.is_half_open(at(299.999))) == (True, False)
    assert (breaker.is_open(at(300)), breaker.is_half_open(at(300))) == (False, True)


def test_closed_is_neither_open_nor_half_open() -> None:
    breaker = Breaker(RULE)

    assert not breaker.is_open(START)
    assert not breaker.is_half_open(START)


def test_an_open_breaker_does_not_open_again() -> None:
    breaker = Breaker(RULE)
    breaker.opened(Trip(at(300), ""))

    assert run(breaker, "-" * 50) is None


def test_a_failed_trial_keeps_it_open() -> None:
    breaker = Breaker(RULE)
    breaker.opened(Trip(at(300), ""))
    breaker.opened(breaker.probe_failed(at(300)))

    assert breaker.is_open(at(300.001))
    assert not breaker.is_half_open(at(300.001))


def test_each_failed_trial_doubles_the_wait_up_to_the_longest() -> None:
    breaker = Breaker(replace(RULE, open_s=300, open_max_s=2000))
    waits = []
    for _ in range(5):
        trip = breaker.probe_failed(START)
        breaker.opened(trip)
        waits.append((trip.until - START).total_seconds())

    assert waits == [600, 1200, 2000, 2000, 2000]


def test_after_any_number_of_failed_trials_the_wait_is_the_longest() -> None:
    assert Breaker(RULE, failed_trials=10**9).probe_failed(START).until == at(RULE.open_max_s)


def test_a_longest_wait_below_the_first_one_shortens_nothing() -> None:
    assert Breaker(replace(RULE, open_s=300, open_max_s=10)).probe_failed(START).until == at(300)


def test_after_it_has_closed_the_wait_is_the_first_one_again() -> None:
    breaker = Breaker(RULE, failed_trials=3)
    breaker.closed(START)

    assert breaker.failed_trials == 0


def test_closing_forgets_what_led_to_the_opening() -> None:
    breaker = Breaker(replace(RULE, recovery_factor=1))
    run(breaker, "----")
    breaker.closed(at(10))

    assert run(breaker, "---", start_s=11) is None


def test_after_closing_its_limits_are_stricter_until_the_recovery_is_over() -> None:
    rule = replace(RULE, failures_min=20, recovery_factor=10)
    within, after = Breaker(rule), Breaker(rule)

    assert within.closed(START) == after.closed(START) == at(1200)
    assert run(within, "--", start_s=1190) is not None
    assert run(after, "--", start_s=1200) is None


def test_in_recovery_a_single_failure_is_below_the_floor() -> None:
    breaker = Breaker(replace(RULE, failures_min=20))
    breaker.closed(START)

    assert run(breaker, "-", start_s=1) is None


def test_the_streak_is_stricter_in_recovery_too() -> None:
    breaker = Breaker(replace(BY_STREAK, streak_min=20, recovery_factor=10))
    breaker.closed(START)

    assert run(breaker, "-+-+-", start_s=1) is None
    assert run(breaker, "-", start_s=6) is not None


def test_what_is_remembered_counts_but_is_not_judged() -> None:
    breaker = Breaker(RULE)
    breaker.remember((at(number), False) for number in range(50))

    assert breaker.open_until is None
    assert breaker.note(at(51), is_success=False) is not None


def test_what_was_reset_counts_no_more() -> None:
    breaker = Breaker(RULE)
    breaker.remember((at(number), False) for number in range(50))
    breaker.reset()

    assert run(breaker, "---", start_s=51) is None


rules = st.builds(
    BreakerRule,
    window_s=st.floats(1, 1000),
    failures_min=st.integers(1, 30),
    failure_share_min=st.floats(0.01, 1),
    streak_min=st.integers(1, 30),
    recovery_factor=st.integers(1, 20),
)
histories = st.lists(st.tuples(st.floats(0, 500), st.booleans()), max_size=60)


@given(rule=rules, count=st.integers(0, 100), step_s=st.floats(0, 100), is_strict=st.booleans())
def test_successes_never_open_it(rule: BreakerRule, count: int, step_s: float, is_strict: bool) -> None:
    breaker = Breaker(rule, strict_until=at(10**6) if is_strict else None)

    assert run(breaker, "+" * count, step_s=step_s) is None


@given(rule=rules, history=histories)
def test_it_never_opens_but_on_a_failure_that_reaches_a_limit(
    rule: BreakerRule, history: list[tuple[float, bool]]
) -> None:
    breaker, now, seen = Breaker(rule), START, []
    for seconds, is_success in history:
        now += timedelta(seconds=seconds)
        trip = breaker.note(now, is_success=is_success)
        seen.append((now, is_success))
        window = [one for moment, one in seen if moment > now - timedelta(seconds=rule.window_s)]
        streak = 0
        for _, one in reversed(seen):
            if one:
                break
            streak += 1
        failures = window.count(False)
        is_over = failures >= rule.failures_min and failures / len(window) >= rule.failure_share_min

        assert (trip is not None) == (not is_success and (is_over or streak >= rule.streak_min))


@given(rule=rules, history=histories, split=st.integers(0, 60))
def test_a_breaker_that_remembers_goes_on_like_the_one_that_lived(
    rule: BreakerRule, history: list[tuple[float, bool]], split: int
) -> None:
    moments, now = [], START
    for seconds, is_success in history:
        now += timedelta(seconds=seconds)
        moments.append((now, is_success))
    lived, reborn = Breaker(rule), Breaker(rule)
    for moment, is_success in moments[:split]:
        lived.note(moment, is_success=is_success)
    reborn.remember(moments[:split])

    for moment, is_success in moments[split:]:
        assert reborn.note(moment, is_success=is_success) == lived.note(moment, is_success=is_success)


@pytest.mark.parametrize("setting", ["failures_min", "streak_min"])
def test_no_recovery_makes_a_limit_less_than_one_failure(setting: str) -> None:
    breaker = Breaker(replace(RULE, **{setting: 1}, recovery_factor=1000))
    breaker.closed(START)

    assert run(breaker, "++++", start_s=1) is None


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        (BreakerRule(), (36, 24)),
        (BreakerRule(open_s=86, open_max_s=86), (1014, 1005)),
        (BreakerRule(open_s=3600, open_max_s=60), (33, 24)),
        (BreakerRule(streak_min=3, open_s=100_000, open_max_s=200_000), (3, 1)),
    ],
)
def test_a_dead_endpoint_is_tried_as_often_as_is_said(rule: BreakerRule, counts: tuple[int, int]) -> None:
    """Play it: always something to send, and never an answer, which takes no time to fail."""
    start = datetime(2025, 2, 1, tzinfo=UTC)
    breaker, now, days = Breaker(rule), start, [0, 0, 0]
    while (day := (now - start).days) < len(days):
        days[day] += 1
        if breaker.open_until is not None:
            trip: Trip | None = breaker.probe_failed(now)
        else:
            trip = breaker.note(now, is_success=False)
        if trip is not None:
            breaker.opened(trip)
            now = trip.until

    first, later = attempts_of_a_dead_endpoint(rule)
    assert (first, later) == counts
    assert days[0] == first
    assert max(days[1:]) <= later
