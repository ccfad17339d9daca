"""Counting by names of which there may be any number, in a fixed amount of memory."""

from dataclasses import dataclass

__all__ = ["BoundedCounts", "Counted"]

# More than there are installations in most homes; beyond it the smallest counts give way.
_CAPACITY = 10_000
_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Counted:
    """The names counted most, and the rest of them together.

    While all names had room the counts are exact. Else each is too small by `undercount` at most, and `others` too
    large by what they lack; the sum of all is exact in any case.
    """

    top: tuple[tuple[str, int], ...]
    others: int
    other_names: int
    undercount: int


class BoundedCounts:
    """Counts names; when there are too many, all counts are lowered by one and those at zero are forgotten.

    This is the algorithm of Misra and Gries (1982): no name that makes up more than 1 of `capacity` is forgotten.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.total = 0
        self._capacity = capacity or _CAPACITY
        self._counts: dict[str, int] = {}
        self._undercount = 0

    def add(self, name: str) -> None:
        """Count a name once more."""
        self.total += 1
        counts = self._counts
        if name in counts:
            counts[name] += 1
        elif len(name) > _NAME_CHARACTERS:
            self.total -= 1
            self.add(name[: _NAME_CHARACTERS - 1] + "…")
        elif len(counts) < self._capacity:
            counts[name] = 1
        else:
            self._undercount += 1
            self._counts = {other: count - 1 for other, count in counts.items() if count > 1}

    def count(self, name: str) -> int:
        """Give the count of a name."""
        return self._counts.get(name, 0)

    def counted(self, most: int) -> Counted:
        """Give the `most` names with the largest counts, the largest first."""
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        top = tuple(ordered[:most])
        return Counted(top, self.total - sum(count for _, count in top), len(ordered) - len(top), self._undercount)
