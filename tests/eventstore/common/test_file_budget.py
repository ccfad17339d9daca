import resource
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.file_budget import files_needed, raise_file_limit, share_out
from eventstore.errors import ShortageError


@given(st.integers(1, 100_000), st.integers(1, 4096))
def test_what_is_shared_out_is_never_more_than_there_is(allowed: int, in_flight: int) -> None:
    try:
        budget = share_out(allowed, in_flight)
    except ShortageError:
        assert allowed < 80
        return

    assert budget.in_flight + budget.kept_connections + budget.lookups < allowed
    assert 1 <= budget.in_flight <= in_flight
    assert budget.kept_connections >= 1
    assert budget.lookups >= 1


@given(st.integers(1, 4096))
def test_with_as_many_files_as_are_needed_nothing_is_cut(in_flight: int) -> None:
    assert share_out(files_needed(in_flight), in_flight).in_flight == in_flight


def test_256_files_do_for_a_hundred_requests_at_once() -> None:
    assert 100 <= share_out(256, 256).in_flight < 192


def test_too_few_files_for_any_daemon_are_said_with_how_many_it_takes() -> None:
    with pytest.raises(ShortageError, match=r"60 open files are allowed, and a daemon needs 72 at least: .*ulimit -n"):
        share_out(60, 256)


@pytest.fixture
def limit() -> Iterator[tuple[int, int]]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, before[1]))
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_is_raised_to_what_is_needed_and_no_further(limit: tuple[int, int]) -> None:
    assert raise_file_limit(500) == 500
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (500, limit[1])
    assert raise_file_limit(450) == 500


def test_the_soft_limit_is_raised_to_the_hard_one_at_most(limit: tuple[int, int]) -> None:
    if limit[1] == resource.RLIM_INFINITY:
        pytest.skip("this machine has no hard limit")

    assert raise_file_limit(limit[1] + 1) == limit[1]
