from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.clock import SystemClock, day_of, parse_time, time_text

moments = st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1), timezones=st.timezones())  # noqa: DTZ001


@given(moments)
def test_moment_comes_back_from_its_text(moment: datetime) -> None:
    assert parse_time(time_text(moment)) == moment.astimezone(UTC)


@given(moments, moments)
def test_texts_sort_as_the_moments_do(one: datetime, other: datetime) -> None:
    one, other = one.astimezone(UTC), other.astimezone(UTC)

    assert (time_text(one) < time_text(other)) is (one < other)


def test_day_is_the_utc_day() -> None:
    evening = datetime(2025, 2, 3, 23, 30, tzinfo=timezone(timedelta(hours=-5)))

    assert day_of(time_text(evening)) == "2025-02-04"


def test_text_without_an_offset_is_utc() -> None:
    assert parse_time("2025-02-03") == datetime(2025, 2, 3, tzinfo=UTC)
    assert parse_time("2025-02-03T01:00:00+01:00") == datetime(2025, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "yesterday", "2025-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"Invalid isoformat|month must be"):
        parse_time(text)


def test_system_clock_is_aware_and_utc() -> None:
    assert SystemClock().now().utcoffset() == timedelta(0)
