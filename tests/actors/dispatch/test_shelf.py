from hypothesis import given
from hypothesis import strategies as st

from actors.dispatch.shelf import Shelf

ONE, TWO = "one", "two"


def shelf_of(*parcels: dict[str, int]) -> Shelf:
    """Make a shelf with parcels that are named 10, 20, 30 ..."""
    shelf = Shelf()
    for number, counts in enumerate(parcels, 1):
        shelf.put(10 * number, counts)
    return shelf


def test_the_first_parcel_of_an_installation_is_the_oldest_that_is_not_opened() -> None:
    shelf = shelf_of({TWO: 3}, {ONE: 1, TWO: 1}, {ONE: 2})

    assert (shelf.first_of(ONE), shelf.first_of(TWO), shelf.first_of("nobody")) == (20, 10, None)
    assert shelf.opened(20) == {ONE: 1, TWO: 1}
    assert (shelf.first_of(ONE), shelf.first_of(TWO)) == (30, 10)
    shelf.opened(10)
    assert shelf.first_of(TWO) is None


def test_a_parcel_without_deliveries_of_this_worker_is_known_and_not_kept() -> None:
    shelf = shelf_of({}, {})

    assert shelf.newest == 20
    assert list(shelf.installations()) == []


def test_so_many_parcels_are_wanted_as_hold_the_deliveries_that_are_missing() -> None:
    shelf = shelf_of({ONE: 2}, {TWO: 9}, {ONE: 2}, {ONE: 2})
    shelf.want(ONE, 3)

    assert shelf.next_to_open(0.0) == [10, 30]


def test_what_is_being_opened_counts_and_is_not_asked_for_again() -> None:
    shelf = shelf_of({ONE: 2}, {ONE: 2})
    shelf.want(ONE, 2)
    assert shelf.next_to_open(0.0) == [10]
    shelf.want(ONE, 2)
    shelf.opened(10)

    assert shelf.next_to_open(0.0) == []
    assert shelf.asked_count == 0


def test_some_are_opened_at_a_time_and_more_when_all_of_those_are_there() -> None:
    shelf = shelf_of(*[{ONE: 1}] * 6)
    shelf.want(ONE, 6)
    first = shelf.next_to_open(0.0)
    shelf.opened(first[0])

    assert first == [10, 20, 30, 40]
    assert shelf.next_to_open(0.0) == []
    for parcel in first[1:]:
        shelf.opened(parcel)
    assert shelf.next_to_open(0.0) == [50, 60]


def test_what_was_asked_for_in_vain_is_asked_for_again_and_first() -> None:
    shelf = shelf_of(*[{ONE: 1}] * 6)
    shelf.want(ONE, 6)
    first = shelf.next_to_open(100.0)

    assert shelf.next_to_open(104.9) == []
    assert shelf.next_to_open(105.0) == first


def test_one_that_was_never_put_here_is_opened_without_a_word() -> None:
    assert Shelf().opened(10) == {}


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(1, 3)), max_size=12),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), max_size=12),
    st.booleans(),
)
def test_whoever_wants_all_gets_each_parcel_once(
    parcels: list[dict[str, int]], wishes: list[tuple[str, int]], is_last_first: bool
) -> None:
    shelf = shelf_of(*parcels)
    opened: list[int] = []
    for name, deliveries in [*wishes, *((name, 99) for name in "abc" * 5)]:
        shelf.want(name, deliveries)
        asked = shelf.next_to_open(0.0)
        opened += asked
        for parcel in reversed(asked) if is_last_first else asked:
            shelf.opened(parcel)

    assert sorted(opened) == [10 * number for number, counts in enumerate(parcels, 1) if counts]
    assert [shelf.first_of(name) for name in "abc"] == [None] * 3
    assert list(shelf.installations()) == []
