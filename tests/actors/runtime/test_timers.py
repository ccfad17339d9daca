from hypothesis import given
from hypothesis import strategies as st

from actors.runtime.timers import Timers


def test_a_name_is_taken_at_its_moment_and_not_before() -> None:
    timers = Timers()
    timers.set("one", "05")

    assert (timers.take_due("04"), timers.take_due("05"), timers.take_due("06")) == ([], ["one"], [])


def test_the_earliest_moment_of_a_name_counts() -> None:
    timers = Timers()
    for moment in ("05", "03", "04"):
        timers.set("one", moment)

    assert timers.take_due("03") == ["one"]
    assert timers.take_due("09") == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123456789")), max_size=60))
def test_there_are_no_more_than_moments_that_are_still_to_come(pairs: list[tuple[str, str]]) -> None:
    timers = Timers()
    for name, moment in pairs:
        timers.set(name, moment)
        assert len(timers) <= len(set(pairs))

    assert timers.take_due("9") == sorted({name for name, _ in pairs}, key=lambda one: earliest(pairs, one))
    assert len(timers) == 0


def earliest(pairs: list[tuple[str, str]], name: str) -> tuple[str, str]:
    return min((moment, of) for of, moment in pairs if of == name)
