from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook import ErrorClass, RetrySchedule, is_final, parse_retry_after

NOW = datetime(2025, 2, 1, 10, 0, tzinfo=UTC)
UNITS = st.floats(0, 1)


@given(st.lists(st.floats(0, 1e6), max_size=9), st.floats(0, 1), UNITS, st.integers(1, 12))
def test_jitter_stays_within_its_share(delays: list[float], jitter: float, unit: float, failed: int) -> None:
    delay_s = RetrySchedule(tuple(delays), jitter).next_delay_s(failed, random_unit=unit)

    if failed > len(delays):
        assert delay_s is None
    else:
        base_s = delays[failed - 1]
        assert delay_s is not None
        assert base_s * (1 - jitter) - 1e-6 <= delay_s <= base_s * (1 + jitter) + 1e-6


@given(UNITS, st.floats(0, 1e9))
def test_retry_after_is_a_bounded_floor(unit: float, asked_s: float) -> None:
    schedule = RetrySchedule((60.0,), retry_after_max_s=3600)

    delay_s = schedule.next_delay_s(1, random_unit=unit, retry_after_s=asked_s)

    assert delay_s is not None
    assert min(asked_s, 3600) <= delay_s <= max(66.0, min(asked_s, 3600))


def test_no_delays_mean_one_attempt() -> None:
    assert RetrySchedule(()).next_delay_s(1, random_unit=0.5, retry_after_s=5) is None


def test_a_schedule_gives_one_attempt_more_than_it_has_delays() -> None:
    schedule = RetrySchedule((5, 300, 1800))

    assert [schedule.next_delay_s(failed, random_unit=0.5) for failed in range(1, 5)] == [5, 300, 1800, None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"delays_s": (-1.0,)},
        {"delays_s": (float("nan"),)},
        {"delays_s": (float("inf"),)},
        {"delays_s": (), "jitter": 1.1},
        {"delays_s": (), "retry_after_max_s": -1.0},
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        RetrySchedule(**wrong)  # type: ignore[arg-type]


def test_failed_attempts_count_from_one() -> None:
    with pytest.raises(ValueError):
        RetrySchedule((5,)).next_delay_s(0, random_unit=0.5)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("-5", 0.0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("Sat, 01 Feb 2025 10:01:00 -0000", 60.0),
        ("", None),
        ("soon", None),
        ("1.5", None),
        ("1" + "0" * 30, 1e9),
        ("9" * 400, 1e9),
        ("0" * 400 + "60", 60.0),
        ("30, 30", 30.0),
        ("30,-1 ,\t90", 90.0),
        ("30, " + "9" * 400, 1e9),
        ("30,", None),
        ("30 60", None),
        ("１２", None),  # noqa: RUF001 - digits, and none of HTTP's
        ("Sat, 99 Feb 2025 10:01:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


def test_a_retry_after_beyond_all_reason_is_a_day() -> None:
    asked_s = parse_retry_after("1" + "0" * 30, NOW)

    assert RetrySchedule((5.0,)).next_delay_s(1, random_unit=0.5, retry_after_s=asked_s) == 86_400.0


@given(st.text(max_size=40))
def test_rubbish_in_retry_after_never_raises(value: str) -> None:
    seconds = parse_retry_after(value, NOW)

    assert seconds is None or seconds >= 0


def test_only_blocked_damaged_and_gone_are_final() -> None:
    assert {error_class for error_class in ErrorClass if is_final(error_class)} == {
        ErrorClass.BLOCKED,
        ErrorClass.DAMAGED,
        ErrorClass.GONE,
    }
