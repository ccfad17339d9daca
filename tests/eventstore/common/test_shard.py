from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.common.shard import SLOTS, WHOLE, Shard, slot_of

IDS = st.uuids().map(str)
COUNTS = st.integers(1, SLOTS)


@given(installation_id=IDS, count=COUNTS)
def test_each_installation_is_in_exactly_one_share(installation_id: str, count: int) -> None:
    assert [shard.owns(installation_id) for shard in WHOLE.shared_out(count)].count(True) == 1


def test_a_slot_is_the_same_in_every_process_and_version() -> None:
    """The numbers stand here, as two workers that disagree would send an installation's deliveries out of order."""
    ids = [str(UUID(int=number)) for number in range(12)]

    assert [slot_of(one) for one in ids] == [9, 31, 37, 51, 16, 6, 60, 42, 59, 45, 43, 17]


def test_shares_are_about_as_large() -> None:
    ids = [str(UUID(int=number * 7_919 << 64 | number)) for number in range(10_000)]
    sizes = [len(shard.of(ids)) for shard in WHOLE.shared_out(4)]

    assert sum(sizes) == 10_000
    assert all(2_300 < size < 2_700 for size in sizes)


def test_one_worker_has_all_and_is_the_lead() -> None:
    assert WHOLE.of(["a", "b"]) == ("a", "b")
    assert [shard.is_lead for shard in WHOLE.shared_out(3)] == [True, False, False]


@given(slots=st.frozensets(st.integers(0, SLOTS - 1), min_size=1), data=st.data())
def test_what_is_shared_out_is_all_that_there_was_in_shares_that_differ_by_one(
    slots: frozenset[int], data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, len(slots)))
    shares = Shard(slots).shared_out(count)
    sizes = [len(share.slots) for share in shares]

    assert sorted(slot for share in shares for slot in share.slots) == sorted(slots)
    assert max(sizes) - min(sizes) <= 1


@given(limit=st.integers(1, 5_000), count=COUNTS)
def test_the_parts_of_a_limit_are_as_large_as_the_shares_and_add_up_to_it(limit: int, count: int) -> None:
    shares = WHOLE.shared_out(count)
    parts = [share.part_of(limit) for share in shares]

    if limit >= SLOTS:
        assert sum(parts) == limit
    assert all(abs(part - _exact(share, limit)) <= 1 for part, share in zip(parts, shares, strict=True))


def _exact(share: Shard, limit: int) -> float:
    return limit * len(share.slots) / SLOTS


@pytest.mark.parametrize("slots", [frozenset(), frozenset({-1}), frozenset({SLOTS})])
def test_there_is_no_share_without_slots_or_outside_of_them(slots: frozenset[int]) -> None:
    with pytest.raises(ValueError, match="some of the slots"):
        Shard(slots)


@pytest.mark.parametrize("count", [0, SLOTS + 1])
def test_there_are_no_more_shares_than_slots(count: int) -> None:
    with pytest.raises(ValueError, match="cannot be shared out"):
        WHOLE.shared_out(count)
