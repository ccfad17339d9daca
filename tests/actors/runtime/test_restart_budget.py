from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.restart_budget import RestartBudget


def test_as_many_restarts_as_the_intensity_are_allowed() -> None:
    budget = RestartBudget(intensity=3, period_s=60.0)

    assert [budget.spend(float(now_s)) for now_s in range(4)] == [True, True, True, False]


def test_restart_counts_up_to_the_period_and_not_beyond() -> None:
    budget = RestartBudget(intensity=1, period_s=60.0)

    assert budget.spend(0.0)
    assert not budget.spend(60.0)
    assert budget.spend(60.1)


def test_refused_restart_uses_nothing_up() -> None:
    budget = RestartBudget(intensity=1, period_s=60.0)
    budget.spend(0.0)

    assert not budget.spend(59.0)
    assert budget.spend(61.0)


def test_intensity_of_zero_allows_no_restart() -> None:
    assert not RestartBudget(intensity=0).spend(0.0)


def test_every_crash_is_counted() -> None:
    budget = RestartBudget(intensity=1)

    budget.spend(0.0)
    budget.spend(0.0)

    assert budget.crash_count == 2


@pytest.mark.parametrize(("intensity", "period_s"), [(-1, 60.0), (5, 0.0)])
def test_senseless_budget_is_refused(intensity: int, period_s: float) -> None:
    with pytest.raises(ValueError, match="no budget"):
        RestartBudget(intensity, period_s)


def test_threads_together_get_no_more_than_the_intensity() -> None:
    budget = RestartBudget(intensity=50)
    with ThreadPoolExecutor(8) as threads:
        allowed = list(threads.map(lambda _: budget.spend(1.0), range(400)))

    assert sum(allowed) == 50
    assert budget.crash_count == 400


@given(st.lists(st.integers(0, 20)), st.integers(0, 4), st.integers(1, 30))
def test_no_period_holds_more_restarts_than_the_intensity(gaps_s: list[int], intensity: int, period_s: int) -> None:
    budget = RestartBudget(intensity, period_s)
    now_s = 0
    allowed_s: list[int] = []
    for gap_s in gaps_s:
        now_s += gap_s
        if budget.spend(now_s):
            allowed_s.append(now_s)

    for start_s in allowed_s:
        assert sum(start_s <= at_s <= start_s + period_s for at_s in allowed_s) <= intensity
