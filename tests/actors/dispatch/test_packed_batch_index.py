from hypothesis import given
from hypothesis import strategies as st

from actors.dispatch.packed_batch_index import PackedBatchIndex

ONE, TWO = "one", "two"


def index_of(*packed_batches: dict[str, int]) -> PackedBatchIndex:
    """Make a packed_batch_index with packed batches that are named 10, 20, 30 ..."""
    packed_batch_index = PackedBatchIndex()
    for number, counts in enumerate(packed_batches, 1):
        packed_batch_index.put(10 * number, counts)
    return packed_batch_index


def test_the_first_packed_batch_of_an_installation_is_the_oldest_that_is_not_opened() -> None:
    packed_batch_index = index_of({TWO: 3}, {ONE: 1, TWO: 1}, {ONE: 2})

    assert (
        packed_batch_index.first_of(ONE),
        packed_batch_index.first_of(TWO),
        packed_batch_index.first_of("nobody"),
    ) == (20, 10, None)
    assert packed_batch_index.opened(20) == {ONE: 1, TWO: 1}
    assert (packed_batch_index.first_of(ONE), packed_batch_index.first_of(TWO)) == (30, 10)
    packed_batch_index.opened(10)
    assert packed_batch_index.first_of(TWO) is None


def test_a_packed_batch_without_deliveries_of_this_worker_is_known_and_not_kept() -> None:
    packed_batch_index = index_of({}, {})

    assert list(packed_batch_index.installations()) == []


def test_so_many_packed_batches_are_wanted_as_hold_the_deliveries_that_are_missing() -> None:
    packed_batch_index = index_of({ONE: 2}, {TWO: 9}, {ONE: 2}, {ONE: 2})
    packed_batch_index.want(ONE, 3)

    assert packed_batch_index.next_to_open(0.0) == [10, 30]


def test_what_is_being_opened_counts_and_is_not_asked_for_again() -> None:
    packed_batch_index = index_of({ONE: 2}, {ONE: 2})
    packed_batch_index.want(ONE, 2)
    assert packed_batch_index.next_to_open(0.0) == [10]
    packed_batch_index.want(ONE, 2)
    packed_batch_index.opened(10)

    assert packed_batch_index.next_to_open(0.0) == []
    assert packed_batch_index.asked_count == 0


def test_some_are_opened_at_a_time_and_more_when_all_of_those_are_there() -> None:
    packed_batch_index = index_of(*[{ONE: 1}] * 6)
    packed_batch_index.want(ONE, 6)
    first = packed_batch_index.next_to_open(0.0)
    packed_batch_index.opened(first[0])

    assert first == [10, 20, 30, 40]
    assert packed_batch_index.next_to_open(0.0) == []
    for packed_batch in first[1:]:
        packed_batch_index.opened(packed_batch)
    assert packed_batch_index.next_to_open(0.0) == [50, 60]


def test_what_was_asked_for_in_vain_is_asked_for_again_and_first() -> None:
    packed_batch_index = index_of(*[{ONE: 1}] * 6)
    packed_batch_index.want(ONE, 6)
    first = packed_batch_index.next_to_open(100.0)

    assert packed_batch_index.next_to_open(104.9) == []
    assert packed_batch_index.next_to_open(105.0) == first


def test_one_that_was_never_put_here_is_opened_without_a_word() -> None:
    assert PackedBatchIndex().opened(10) == {}


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 3)), max_size=12),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), max_size=12),
    st.booleans(),
)
def test_whoever_wants_all_gets_each_packed_batch_once(
    packed_batches: list[dict[str, int]], wishes: list[tuple[str, int]], is_last_first: bool
) -> None:
    packed_batch_index = index_of(*packed_batches)
    opened: list[int] = []
    for name, deliveries in [*wishes, *((name, 99) for name in "abc" * 5)]:
        packed_batch_index.want(name, deliveries)
        asked = packed_batch_index.next_to_open(0.0)
        opened += asked
        for packed_batch in reversed(asked) if is_last_first else asked:
            packed_batch_index.opened(packed_batch)

    assert sorted(opened) == [10 * number for number, counts in enumerate(packed_batches, 1) if counts]
    assert [packed_batch_index.first_of(name) for name in "abc"] == [None] * 3
    assert list(packed_batch_index.installations()) == []
