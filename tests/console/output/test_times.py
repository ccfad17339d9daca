from datetime import UTC, datetime, timedelta

import pytest

from console.output.times import age_text, moment, short_time
from eventstore.errors import RejectedError

NOW = datetime(2025, 2, 8, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("1.5d", NOW - timedelta(hours=36)),
        ("1w", NOW - timedelta(days=7)),
        ("2025-02-01", datetime(2025, 2, 1, tzinfo=UTC)),
        ("2025-02-01T10:00", datetime(2025, 2, 1, 10, tzinfo=UTC)),
        ("2025-02-01T10:00:00+02:00", datetime(2025, 2, 1, 8, tzinfo=UTC)),
        (" 2025-02-01T10:00:00Z ", datetime(2025, 2, 1, 10, tzinfo=UTC)),
    ],
)
def test_a_moment_is_iso_text_or_how_long_ago(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2 hours", "2025-13-01", "999999w", "-2h", "h", "\N{ARABIC-INDIC DIGIT ONE}h"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(RejectedError, match="is not a time"):
        moment(text, NOW)


def test_no_text_is_no_moment() -> None:
    assert moment(None, NOW) is None


def test_an_age_has_its_two_largest_units() -> None:
    assert [age_text(timedelta(seconds=age)) for age in (0, 59, 61, 90_061, -5)] == [
        "0s",
        "59s",
        "1m 1s",
        "1d 1h",
        "0s",
    ]


def test_a_time_is_shortened_to_seconds() -> None:
    assert short_time("2025-02-01T10:00:00.123456Z") == "2025-02-01T10:00:00Z"
