from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.uptime import Uptime, read_uptime
from eventstore.policies.clock_doubt import DOUBT_S, TRUSTED_LEAP, ClockPair, Doubt, follow

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOOT, OTHER_BOOT = "boot-1", "boot-2"
PAIR = ClockPair(NOON, Uptime(BOOT, 1000.0))
MONTH = timedelta(days=31)
DECADE = timedelta(days=3652)


def after(pair: ClockPair, seconds: float, *, leap: timedelta = timedelta(), boot: str = "") -> ClockPair:
    """Return the pair after so many seconds of running, with a clock that has leapt against the first pair."""
    uptime = Uptime(boot, 5.0) if boot else Uptime(pair.uptime.boot_id, pair.uptime.seconds + seconds)
    return follow(pair, pair.moment + timedelta(seconds=seconds) + leap, uptime, ran_s=seconds)


@given(st.floats(0, 10**9), st.floats(-86_400, 86_400))
def test_a_clock_within_a_day_of_the_running_time_is_believed(seconds: float, leap_s: float) -> None:
    assert after(PAIR, seconds, leap=timedelta(seconds=leap_s) * 0.999).doubt is None


@given(st.floats(0, 10**8), st.floats(86_401, 10**9), st.sampled_from([1, -1]))
def test_a_clock_that_leaps_by_more_than_a_day_either_way_is_doubted(seconds: float, leap_s: float, way: int) -> None:
    assert after(PAIR, seconds, leap=timedelta(seconds=leap_s) * way).doubt is not None


def test_leaps_of_less_than_a_day_add_up_within_a_boot() -> None:
    once = after(PAIR, 60, leap=timedelta(hours=20))
    twice = follow(once, NOON + timedelta(hours=40), Uptime(BOOT, 1120.0))

    assert once.doubt is None
    assert twice.doubt is not None


def test_what_a_doubted_clock_says_does_not_move_the_pair() -> None:
    doubted = after(PAIR, 60, leap=DECADE)

    assert doubted.moment == NOON + timedelta(seconds=60)
    assert after(doubted, 60, leap=DECADE).moment == NOON + timedelta(seconds=120)


def test_a_clock_that_comes_back_is_believed_at_once() -> None:
    doubted = after(PAIR, 60, leap=DECADE)

    assert after(doubted, 60).doubt is None


def test_a_clock_is_believed_when_it_has_run_for_a_day_summed_over_restarts() -> None:
    pair = after(PAIR, 0, leap=MONTH)
    for _ in range(23):
        pair = after(pair, 3600, leap=MONTH)
        pair = follow(pair, pair.moment + MONTH, pair.uptime)  # the next start: nothing has run in between
    last = after(pair, 3600, leap=MONTH)

    assert pair.doubt == Doubt(MONTH.total_seconds(), 23 * 3600.0)
    assert last.doubt is None
    assert last.moment == pair.moment + timedelta(hours=1) + MONTH


def test_a_doubted_clock_that_leaps_again_begins_a_day_anew() -> None:
    nearly = after(after(PAIR, 0, leap=MONTH), DOUBT_S - 1, leap=MONTH)
    again = after(nearly, 60, leap=DECADE)

    assert nearly.doubt is not None
    assert again.doubt == Doubt(DECADE.total_seconds(), 0.0)


def test_a_home_that_rested_for_a_month_within_one_boot_is_believed() -> None:
    assert after(PAIR, MONTH.total_seconds()).doubt is None


def test_a_home_that_rested_for_a_month_over_a_reboot_is_doubted_for_a_day_of_running() -> None:
    pair = after(PAIR, 0, leap=MONTH, boot=OTHER_BOOT)
    believed = after(pair, DOUBT_S, leap=MONTH)

    assert pair.doubt is not None
    assert believed.doubt is None


def test_one_that_is_at_work_for_an_hour_a_week_is_not_doubted_for_ever() -> None:
    pair = PAIR
    for week in range(1, 25):
        now = NOON + timedelta(weeks=week)
        pair = follow(pair, now, Uptime(f"boot of week {week}", 1.0))
        pair = follow(pair, now + timedelta(hours=1), Uptime(f"boot of week {week}", 3601.0), ran_s=3600.0)

    assert pair.doubt is None


def test_a_night_over_a_reboot_is_no_leap() -> None:
    pair = after(PAIR, 0, leap=timedelta(hours=14), boot=OTHER_BOOT)

    assert pair == ClockPair(NOON + timedelta(hours=14), Uptime(OTHER_BOOT, 5.0))


@pytest.mark.parametrize("uptime", [Uptime(OTHER_BOOT, 2000.0), Uptime(BOOT, 10.0), Uptime("", 2000.0)])
def test_a_running_time_that_cannot_be_compared_is_not_known(uptime: Uptime) -> None:
    """Another boot; a container that counts from its own start; a system that does not name its boots."""
    assert uptime.since(Uptime(uptime.boot_id if uptime.seconds < 1000 else BOOT, 1000.0)) is None


def test_the_running_time_of_this_machine_goes_on() -> None:
    first, second = read_uptime(), read_uptime()
    passed_s = second.since(first)

    assert first.boot_id
    assert passed_s is not None
    assert passed_s >= 0


def test_the_limits_are_those_that_the_documentation_names() -> None:
    assert timedelta(days=1) == TRUSTED_LEAP
    assert DOUBT_S == 86_400
