from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.shard import WHOLE, Shard

IDS = st.uuids().map(str)


def shards(count: int) -> list[Shard]:
    return [Shard(number, count) for number in range(1, count + 1)]


@given(installation_id=IDS, count=st.integers(1, 64))
def test_each_installation_is_in_exactly_one_share(installation_id: str, count: int) -> None:
    assert [shard.owns(installation_id) for shard in shards(count)].count(True) == 1


def test_a_share_is_the_same_in_every_process_and_version() -> None:
    """The number stands here, as two workers that disagree would send an installation's deliveries out of order."""
    ids = [str(UUID(int=number)) for number in range(12)]

    assert [next(shard.number for shard in shards(3) if shard.owns(one)) for one in ids] == [
        2, 1, 1, 3, 3, 2, 2, 2, 2, 2, 2, 3,
    ]  # fmt: skip


def test_shares_are_about_as_large() -> None:
    ids = [str(UUID(int=number * 7_919 << 64 | number)) for number in range(10_000)]
    sizes = [len(shard.of(ids)) for shard in shards(4)]

    assert sum(sizes) == 10_000
    assert all(2_300 < size < 2_700 for size in sizes)


def test_one_worker_has_all_and_is_the_lead() -> None:
    assert WHOLE.of(["a", "b"]) == ("a", "b")
    assert [shard.is_lead for shard in shards(3)] == [True, False, False]


@given(limit=st.integers(1, 5_000), count=st.integers(1, 64))
def test_the_parts_of_a_limit_are_the_limit_or_one_each(limit: int, count: int) -> None:
    parts = [shard.part_of(limit) for shard in shards(count)]

    assert sum(parts) == max(limit, count)
    assert max(parts) - min(parts) <= 1


@pytest.mark.parametrize(("number", "count"), [(0, 2), (3, 2), (1, 0)])
def test_there_is_no_share_outside_the_count(number: int, count: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        Shard(number, count)
