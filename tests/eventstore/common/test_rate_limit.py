from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.rate_limit import RateLimit

START = datetime(2025, 2, 3, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_without_a_limit_nothing_waits() -> None:
    limit = RateLimit(0.0)

    assert {limit.take(START) for _ in range(1000)} == {None}


def test_a_burst_goes_at_once_and_the_next_is_told_when() -> None:
    limit = RateLimit(2.0, burst=3)

    assert [limit.take(START) for _ in range(4)] == [None, None, None, at(0.5)]


def test_who_comes_at_the_moment_that_was_told_may_go() -> None:
    limit = RateLimit(3.0)
    limit.take(START)
    moment = limit.take(START)

    assert moment is not None
    assert limit.take(moment - timedelta(microseconds=10)) is not None
    assert limit.take(moment) is None


def test_asking_in_vain_costs_nothing() -> None:
    limit = RateLimit(1.0)
    limit.take(START)
    for number in range(100):
        limit.take(at(number / 1000))

    assert limit.take(at(1)) is None


def test_what_is_not_used_is_saved_up_to_the_burst_only() -> None:
    limit = RateLimit(1.0, burst=2)
    for _ in range(2):
        limit.take(START)

    assert [limit.take(at(3600)) is None for _ in range(3)] == [True, True, False]


def test_a_clock_that_goes_back_gives_nothing() -> None:
    limit = RateLimit(1.0)
    limit.take(START)

    assert limit.take(at(-60)) == at(-59)


@given(
    per_s=st.floats(0.01, 100),
    burst=st.integers(1, 20),
    steps_s=st.lists(st.floats(0, 10), min_size=1, max_size=200),
)
def test_no_span_of_time_has_more_than_its_rate_and_one_burst(per_s: float, burst: int, steps_s: list[float]) -> None:
    limit, passed_s, taken = RateLimit(per_s, burst), 0.0, 0
    for step_s in steps_s:
        passed_s += step_s
        taken += limit.take(at(passed_s)) is None

        assert taken <= burst + passed_s * per_s + 1e-3


@given(per_s=st.floats(0.01, 100), burst=st.integers(1, 20), count=st.integers(1, 60))
def test_who_waits_as_told_gets_the_whole_rate(per_s: float, burst: int, count: int) -> None:
    limit, now = RateLimit(per_s, burst), START
    for _ in range(count):
        while (later := limit.take(now)) is not None:
            assert later > now
            now = later

    assert (now - START).total_seconds() <= max(0, count - burst) / per_s + count * 1e-5
