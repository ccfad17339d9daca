"""Numbers of processes, on their way up a line of text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.observability.process_stats import ProcessStats

NUMBERS = st.integers(min_value=0, max_value=10**12)


@given(numbers=st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS, NUMBERS))
def test_what_is_written_is_read(numbers: tuple[int, int, int, int, int]) -> None:
    assert ProcessStats.from_text(ProcessStats(*numbers).to_text()) == ProcessStats(*numbers)


@pytest.mark.parametrize("text", ["", "1 2 3 4", "1 2 3 4 5 6", "1 2 3 4 x", "1 2 3 4 -5", "1.0 2 3 4 5"])
def test_another_line_is_none_of_them(text: str) -> None:
    assert ProcessStats.from_text(text) is None


def test_processes_are_added_up() -> None:
    assert ProcessStats(1, 2, 3, 4, 5) + ProcessStats(10, 20, 30, 40, 50) == ProcessStats(11, 22, 33, 44, 55)
