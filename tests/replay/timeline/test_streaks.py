"""Streaks count everything once, are few, and lie where the outcomes change."""

import random
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.clock import time_text
from replay.timeline.streaks import Streak, StreakFold, quiet_days_between

BEGAN = datetime(2025, 2, 3, tzinfo=UTC)
# Minutes since the one before, and the error class of an attempt (None = success).
attempts = st.tuples(
    st.sampled_from((0, 1, 60, 1440, 5 * 1440)), st.sampled_from((None, None, "server_error", "timeout", ""))
)


def folded(sequence: Iterable[tuple[float, str | None]]) -> list[Streak]:
    fold = StreakFold(time_text(BEGAN))
    at = BEGAN
    for position, (minutes, error_class) in enumerate(sequence, start=1):
        at += timedelta(minutes=minutes)
        fold.follow(time_text(at), position, error_class)
    return fold.finish()


def outcomes(text: str) -> list[tuple[float, str | None]]:
    """Return an attempt a minute: S succeeded, anything else failed."""
    return [(1, None if letter == "S" else "server_error") for letter in text]


def counts(streaks: Iterable[Streak]) -> list[tuple[int, int]]:
    return [(streak.succeeded, streak.failures) for streak in streaks]


@given(st.lists(attempts, max_size=400))
def test_every_attempt_is_counted_once_and_in_its_place(sequence: list[tuple[float, str | None]]) -> None:
    streaks = folded(sequence)
    failed: Counter[str] = Counter()
    for streak in streaks:
        failed.update(streak.failed)
        inside = [error for _, error in sequence[streak.first_position - 1 : streak.last_position]]
        assert (streak.succeeded, streak.failures) == (inside.count(None), len(inside) - inside.count(None))
        assert streak.failures == streak.failed.total()

    assert failed == Counter(error for _, error in sequence if error is not None)
    bounds = [position for streak in streaks for position in (streak.first_position, streak.last_position)]
    assert bounds == sorted(bounds)
    assert sum(streak.succeeded + streak.failures for streak in streaks) == len(sequence)


@given(st.lists(attempts, max_size=400))
def test_streaks_are_few(sequence: list[tuple[float, str | None]]) -> None:
    assert len(folded(sequence)) <= 30


def test_while_it_grows_a_fold_holds_no_more_than_can_be_told_twice() -> None:
    fold = StreakFold(time_text(BEGAN))
    chance = random.Random(7)
    for position in range(20_000):
        fold.follow(time_text(BEGAN + timedelta(seconds=position)), position, chance.choice((None, "timeout")))
        assert len(fold._streaks) <= 60

    assert counts(fold.finish())[0][0] > 9_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SSS", [(3, 0)]),
        ("SSSF", [(3, 0), (0, 1)]),
        ("FSFSF", [(0, 1), (1, 0), (0, 1), (1, 0), (0, 1)]),
        ("", []),
    ],
)
def test_a_short_history_is_told_as_it_was(text: str, expected: list[tuple[int, int]]) -> None:
    assert counts(folded(outcomes(text))) == expected


def test_what_alternates_is_one_streak_between_what_does_not() -> None:
    streaks = folded(outcomes("S" * 50 + "SFF" * 20 + "F" * 100 + "S" * 40))

    # The first success of what alternates goes on with the fifty before it, and its last failures with the hundred.
    assert counts(streaks) == [(51, 0), (19, 38), (0, 102), (40, 0)]


def test_an_outage_among_many_outcomes_has_its_own_streak() -> None:
    chance = random.Random(11)
    noise = ["F" if chance.random() < 0.01 else "S" for _ in range(40_000)]
    streaks = folded(outcomes("".join([*noise[:25_000], "F" * 60, *noise[25_000:]])))

    (outage,) = [streak for streak in streaks if streak.failures > streak.succeeded]
    assert (outage.first_position, outage.last_position) == (25_001, 25_060)
    assert len(streaks) == 3


def test_failures_now_and_then_make_no_streaks_of_their_own() -> None:
    assert len(folded(outcomes(("S" * 199 + "F") * 100))) == 1


def test_a_silence_that_is_out_of_the_ordinary_is_a_gap() -> None:
    daily = [(1440, None)] * 10
    fold = StreakFold(time_text(BEGAN))
    streaks = folded([*daily, (12 * 1440, None), *daily[1:]])

    assert [(streak.succeeded, streak.gap_days) for streak in streaks] == [(10, 0), (10, 11)]
    assert fold.is_gap(3)
    assert not fold.is_gap(2)


def test_a_weekly_silence_is_none_where_each_week_has_one() -> None:
    weekly = [(7 * 1440, None)] * 30
    streaks = folded([*weekly, (60 * 1440, None), *weekly[1:]])

    assert [(streak.succeeded, streak.quiet_days) for streak in streaks] == [(30, 6 * 29), (30, 6 * 29)]


def test_weekly_traffic_of_a_few_weeks_is_told_without_gaps() -> None:
    fold = StreakFold(time_text(BEGAN))
    for week in range(4):
        fold.follow(time_text(BEGAN + timedelta(days=7 * week)), week + 1, None)

    assert len(fold.finish()) == 1
    assert not fold.is_gap(6)


@pytest.mark.parametrize(
    ("day", "later", "expected"),
    [("2025-02-03", "2025-02-03", 0), ("2025-02-03", "2025-02-04", 0), ("2025-02-27", "2025-03-02", 2),
     ("2025-02-04", "2025-02-03", 0)],
)  # fmt: skip
def test_quiet_days_are_whole_days(day: str, later: str, expected: int) -> None:
    assert quiet_days_between(day, later) == expected


def test_a_clock_that_was_set_back_breaks_nothing() -> None:
    streaks = folded([(1440, None), (-3000, None), (1440, "timeout")])

    assert counts(streaks) == [(2, 0), (0, 1)]
