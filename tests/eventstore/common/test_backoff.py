"""How long is waited after failures in a row: one formula for all who wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.backoff import Backoff
from eventstore.policies.breaker import BreakerRule
from eventstore.policies.waits import QueuedWait, WaitRule
from webhook import RetrySchedule


def waits(backoff: Backoff, count: int) -> list[float]:
    return [backoff.delay_s(failures) for failures in range(1, count + 1)]


def test_what_is_named_comes_first_and_the_last_one_goes_on() -> None:
    assert waits(Backoff((5, 30, 120)), 5) == [5, 30, 120, 120, 120]


def test_a_wait_grows_by_its_factor_and_no_further_than_its_limit() -> None:
    assert waits(Backoff((300.0,), factor=2.0, max_s=3600.0), 6) == [300, 600, 1200, 2400, 3600, 3600]


def test_the_limit_holds_for_what_is_named_too() -> None:
    assert waits(Backoff((50.0, 500.0), max_s=100.0), 3) == [50, 100, 100]


def test_nothing_that_failed_and_no_wait_that_is_named_wait_for_nothing() -> None:
    assert Backoff((5.0,)).delay_s(0) == 0
    assert Backoff(()).delay_s(7) == 0


@given(st.floats(0, 1e9), st.floats(1, 100), st.floats(0, 1e9), st.integers(1, 10**9))
def test_no_number_of_failures_is_too_large(first_s: float, factor: float, max_s: float, failures: int) -> None:
    assert 0 <= Backoff((first_s,), factor, max_s).delay_s(failures) <= max_s


@given(st.floats(0, 1), st.floats(0, 1))
def test_jitter_is_a_share_of_the_wait(jitter: float, unit: float) -> None:
    found_s = Backoff((100.0,), jitter=jitter).delay_s(1, random_unit=unit)

    assert 100 * (1 - jitter) - 1e-9 <= found_s <= 100 * (1 + jitter) + 1e-9


@pytest.mark.parametrize(
    "wrong",
    [
        *({"delays_s": (-1.0,)}, {"delays_s": (float("nan"),)}, {"delays_s": (float("inf"),)}),
        *({"factor": 0.5}, {"factor": float("inf")}, {"max_s": -1.0}, {"jitter": 1.1}, {"jitter": -0.1}),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Backoff(**{"delays_s": (1.0,), **wrong})  # type: ignore[arg-type]


@given(st.integers(1, 9))
def test_retries_their_longest_wait_and_the_breaker_wait_by_it(failures: int) -> None:
    delays_s = (5.0, 300.0, 1800.0)
    jittered = Backoff(delays_s, jitter=0.1)
    failed = QueuedWait("", failures, 0, "", 1)

    expected = None if failures > len(delays_s) else jittered.delay_s(failures, random_unit=0.7)
    assert RetrySchedule(delays_s).next_delay_s(failures, random_unit=0.7) == expected
    assert WaitRule(delays_s, 0.1).delay_s(failed) == jittered.delay_s(failures, random_unit=1.0)
    assert BreakerRule().waits == Backoff((300.0,), factor=2.0, max_s=3600.0)
