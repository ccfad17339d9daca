import pytest

from eventstore.common.plural import counted, grouped, noun


@pytest.mark.parametrize(("count", "said"), [(0, "0 days"), (1, "1 day"), (2, "2 days"), (21, "21 days")])
def test_only_one_is_singular(count: int, said: str) -> None:
    assert counted(count, "day") == said


def test_a_plural_of_its_own_is_taken_as_it_is() -> None:
    assert [counted(count, "delivery", "deliveries") for count in (1, 2)] == ["1 delivery", "2 deliveries"]
    assert [noun(count, "is", "are") for count in (1, 2)] == ["is", "are"]


def test_thousands_stand_apart_where_they_are_asked_to() -> None:
    assert [grouped(count, "day") for count in (1, 1000)] == ["1 day", "1,000 days"]
    assert counted(1000, "day") == "1000 days"
