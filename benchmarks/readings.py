"""What was measured: a pair of values from one run, and the median over several runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import msgspec

from benchmarks.goals import Goal

__all__ = ["Reading", "Result", "Row", "percentile", "results_of", "row_of"]


class Reading(NamedTuple):
    """One run's value for a goal, and that of what it is compared with (None = it stands alone)."""

    key: str
    value: float
    other: float | None = None


class Result(msgspec.Struct, frozen=True):
    """All runs' values for a goal, in their order; `others` is empty where there is nothing to compare with."""

    values: tuple[float, ...]
    others: tuple[float, ...]
    taken_at: str
    commit: str
    processes: int


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table. The ratio is the median of the runs' ratios, each from one run."""

    goal: Goal
    value: float
    other: float | None
    ratio: float | None
    runs: int

    @property
    def measure(self) -> float:
        """Return what the limits are compared with: the ratio, or the value where it stands alone."""
        return self.value if self.ratio is None else self.ratio

    @property
    def is_reached(self) -> bool | None:
        """Return whether it is as good as it must be, None where nothing must be reached."""
        return None if self.goal.must is None else self.goal.reaches(self.measure, self.goal.must)

    @property
    def is_aim_reached(self) -> bool | None:
        """Return whether it is as good as is aimed at, None where nothing is."""
        return None if self.goal.aim is None else self.goal.reaches(self.measure, self.goal.aim)


def row_of(goal: Goal, result: Result) -> Row:
    """Return the line of a goal."""
    ratios = [value / other for value, other in zip(result.values, result.others, strict=False)]
    return Row(
        goal,
        median(result.values),
        median(result.others) if result.others else None,
        median(ratios) if ratios else None,
        len(result.values),
    )


def results_of(readings: Iterable[Reading], *, taken_at: str, commit: str, processes: int) -> dict[str, Result]:
    """Gather the readings of several runs by their goals."""
    values: dict[str, list[float]] = {}
    others: dict[str, list[float]] = {}
    for reading in readings:
        values.setdefault(reading.key, []).append(reading.value)
        if reading.other is not None:
            others.setdefault(reading.key, []).append(reading.other)
    return {
        key: Result(tuple(found), tuple(others.get(key, ())), taken_at, commit, processes)
        for key, found in values.items()
    }


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that at least so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(0, int(rank) - 1)]
