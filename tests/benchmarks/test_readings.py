from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.arrivals import Arrival
from benchmarks.drain import Drain, Sample, middle, rate_per_s
from benchmarks.goals import GOALS, Goal
from benchmarks.latency import latencies_ms
from benchmarks.process_group import BenchmarkError
from benchmarks.readings import Reading, Result, percentile, results_of, row_of

_MORE = Goal("more", "1", "what", "/s", "the other", must=2.0, aim=3.0)
_LESS = Goal("less", "2", "what", "ms", must=10.0, aim=3.0, is_less_better=True)


def _result(values: Sequence[float], others: Sequence[float] = ()) -> Result:
    return Result(tuple(values), tuple(others), "2026-03-01T10:00Z", "0123abc", 2)


def test_a_ratio_is_the_median_of_the_runs_ratios_and_not_the_ratio_of_medians() -> None:
    row = row_of(_MORE, _result([10, 40, 30], [10, 10, 30]))

    assert row.ratio == 1.0
    assert (row.value, row.other, row.runs) == (30, 10, 3)


@pytest.mark.parametrize(
    ("goal", "values", "others", "is_reached", "is_aim_reached"),
    [
        (_MORE, [20], [10], True, False),
        (_MORE, [19], [10], False, False),
        (_MORE, [30], [10], True, True),
        (_LESS, [10], [], True, False),
        (_LESS, [11], [], False, False),
        (_LESS, [3], [], True, True),
        (Goal("none", "3", "what", "/s"), [1], [], None, None),
    ],
)
def test_what_is_reached_is_judged_by_the_ratio_or_by_the_value_that_stands_alone(
    goal: Goal, values: list[float], others: list[float], *, is_reached: bool | None, is_aim_reached: bool | None
) -> None:
    row = row_of(goal, _result(values, others))

    assert row.is_reached is is_reached
    assert row.is_aim_reached is is_aim_reached


def test_readings_of_several_runs_stand_together_in_their_order() -> None:
    readings = [Reading("a", 1.0, 2.0), Reading("b", 5.0), Reading("a", 3.0, 4.0)]

    results = results_of(readings, taken_at="now", commit="0123abc", processes=1)

    assert results["a"] == Result((1.0, 3.0), (2.0, 4.0), "now", "0123abc", 1)
    assert results["b"].others == ()


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (0.5, 1)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: int) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == value


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.1, 100))
def test_so_many_percent_are_not_above_their_percentile(values: list[float], percent: float) -> None:
    found = percentile(values, percent)

    assert sum(value <= found for value in values) * 100 >= percent * len(values) - 1e-6


def test_a_pace_is_that_of_the_middle() -> None:
    # A slow start and a long tail around a hundred a second.
    moments_s = [0.0, *(5 + number / 100 for number in range(1000)), 100.0]

    assert rate_per_s(moments_s, *middle(moments_s)) == pytest.approx(100, rel=0.01)


def test_too_few_deliveries_are_no_pace() -> None:
    with pytest.raises(BenchmarkError):
        middle([float(number) for number in range(19)])


def _drain(arrived_s: Sequence[float], samples: Sequence[Sample] = ()) -> Drain:
    return Drain(0.0, tuple(arrived_s), tuple(samples), tuple(samples), tuple(samples))


def test_cpu_time_is_read_between_the_samples_around_the_middle() -> None:
    arrived_s = [number / 100 for number in range(1001)]
    drain = _drain(arrived_s, [Sample(0.0, 0.0), Sample(5.0, 1.0), Sample(10.0, 2.0)])

    assert drain.cpu_us == pytest.approx(2000)  # 0.2 s of a core each second, for 100 deliveries


def test_what_stalls_at_the_beginning_counts_where_healthy_ones_are_measured_beside_silent_ones() -> None:
    stalled = _drain([0.0, *(5 + number / 100 for number in range(500))])

    assert stalled.per_s_within(10, expected=10_000) == pytest.approx(50, rel=0.01)


def test_a_delivery_that_comes_twice_took_as_long_as_to_its_first_receipt() -> None:
    arrivals = [Arrival(1.5, 1.0, 7, 3, 500), Arrival(9.0, 1.0, 7, 3, 200), Arrival(9.0, 8.0, 8, 3, 200)]

    assert latencies_ms(arrivals) == [500.0, 1000.0]
    assert latencies_ms(arrivals, from_s=2.0) == [1000.0]
    assert latencies_ms(arrivals, to_s=2.0) == [500.0]


def test_the_goals_are_named_by_their_keys_and_an_aim_is_not_below_what_must_be() -> None:
    assert [key for key, goal in GOALS.items() if key != goal.key] == []
    assert [key for key, goal in GOALS.items() if goal.aim and not goal.reaches(goal.aim, goal.must or goal.aim)] == []
