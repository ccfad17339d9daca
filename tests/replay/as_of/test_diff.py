"""What differs is named once, and with both sides; what does not differ is not named."""

from hypothesis import given
from hypothesis import strategies as st

from eventstore.policies.day_counts import DayCounts
from replay.as_of.counter_diff import CounterChange, counter_changes
from replay.as_of.settings_diff import FieldChange, changes_between

Counts = tuple[DayCounts, ...]

days = st.dictionaries(
    st.sampled_from(("2025-02-01", "2025-02-02", "2025-02-03")), st.tuples(st.integers(0, 2), st.integers(0, 2))
).map(lambda drawn: tuple(DayCounts(day, success=one, timeout=other) for day, (one, other) in drawn.items()))
settings_of_an_app = st.dictionaries(st.sampled_from(("url", "status", "owners")), st.sampled_from(("", "a", "b")))


def test_counters_are_named_by_day_and_class() -> None:
    before = (DayCounts("2025-02-02", success=3), DayCounts("2025-02-01", timeout=2))
    after = (DayCounts("2025-02-02", success=3, server_error=4), DayCounts("2025-02-03", success=1))

    assert counter_changes(before, after) == (
        CounterChange("2025-02-01", "timeout", 2, 0),
        CounterChange("2025-02-02", "server_error", 0, 4),
        CounterChange("2025-02-03", "success", 0, 1),
    )


def test_settings_that_came_or_went_are_none_on_the_other_side() -> None:
    assert changes_between({"url": "a", "status": "x"}, {"status": "x", "owners": "b"}) == (
        FieldChange("url", "a", None),
        FieldChange("owners", None, "b"),
    )


@given(days)
def test_counters_do_not_differ_from_themselves(counts: Counts) -> None:
    assert counter_changes(counts, counts) == ()


@given(days, days)
def test_the_changes_lead_from_counters_to_counters(
    before: tuple[DayCounts, ...], after: tuple[DayCounts, ...]
) -> None:
    counted = {(one.day, name): getattr(one, name) for one in before for name in ("success", "timeout")}
    for change in counter_changes(before, after):
        assert counted.get((change.day, change.counted), 0) == change.before != change.after
        counted[change.day, change.counted] = change.after

    later = {(one.day, name): getattr(one, name) for one in after for name in ("success", "timeout")}
    assert {key: count for key, count in counted.items() if count} == {key: one for key, one in later.items() if one}


@given(settings_of_an_app, settings_of_an_app)
def test_the_changes_lead_from_the_settings_before_to_those_after(
    before: dict[str, str], after: dict[str, str]
) -> None:
    applied: dict[str, str | None] = {**before}
    for change in changes_between(before, after):
        assert applied.get(change.name) == change.before != change.after
        applied[change.name] = change.after

    assert {name: value for name, value in applied.items() if value is not None} == after
