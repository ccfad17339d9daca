from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from console.logs.bounded_counts import BoundedCounts


def _counts(names: list[str], capacity: int) -> BoundedCounts:
    counts = BoundedCounts(capacity)
    for name in names:
        counts.add(name)
    return counts


@given(st.lists(st.sampled_from("aaaabbcdefghij"), max_size=60), st.integers(1, 12), st.integers(0, 12))
def test_each_count_is_too_small_by_the_undercount_at_most_and_the_sum_is_exact(
    names: list[str], capacity: int, most: int
) -> None:
    true = Counter(names)
    counts = _counts(names, capacity)

    counted = counts.counted(most)

    assert sum(count for _, count in counted.top) + counted.others == len(names) == counts.total
    assert all(true[name] - counted.undercount <= count <= true[name] for name, count in counted.top)
    assert all(true[name] - counts.count(name) <= counted.undercount for name in true)
    assert counted.undercount <= len(names) // (capacity + 1)
    assert len(counted.top) + counted.other_names <= capacity
    if len(true) <= capacity:
        assert counted.undercount == 0
        assert dict(counted.top) == dict(sorted(true.items(), key=lambda item: (-item[1], item[0]))[:most])


def test_what_is_frequent_is_found_among_any_number_of_others() -> None:
    names = [name for number in range(20_000) for name in (f"rare {number}", "frequent")]

    counted = _counts(names, 10).counted(1)

    assert [name for name, _ in counted.top] == ["frequent"]
    assert counted.top[0][1] >= 20_000 - counted.undercount


def test_a_long_name_is_cut() -> None:
    counts = _counts(["x" * 100_000, "x" * 200_000], 10)

    assert counts.counted(10).top == (("x" * 199 + "…", 2),)
    assert counts.total == 2
