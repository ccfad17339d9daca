"""Which counters of the broken-state buffer differ between two moments. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from eventstore.policies.day_counts import COUNTED_CLASSES, DayCounts

__all__ = ["CounterChange", "counter_changes"]


@dataclass(frozen=True, slots=True)
class CounterChange:
    """One counter of one UTC day; it falls to 0 where the buffer was emptied in between."""

    day: str
    counted: str
    before: int
    after: int


def counter_changes(before: Iterable[DayCounts], after: Iterable[DayCounts]) -> tuple[CounterChange, ...]:
    """Return the counters that differ, by day; a day that is not there counts nothing."""
    earlier, later = ({counts.day: counts for counts in days} for days in (before, after))
    return tuple(
        CounterChange(day, counted, *counts)
        for day in sorted(earlier.keys() | later.keys())
        for counted in COUNTED_CLASSES
        if (counts := (_count(earlier.get(day), counted), _count(later.get(day), counted))) and counts[0] != counts[1]
    )


def _count(day: DayCounts | None, counted: str) -> int:
    return getattr(day, counted) if day else 0
