"""Moments at which somebody is to be looked after."""

import heapq

__all__ = ["Timers"]


class Timers:
    """The earliest moment of each name; moments are texts that sort by time.

    A far one that nearer ones come before, again and again, stands here once: there are no more of them than moments
    that are still to come.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[str, str]] = []
        self._in_heap: set[tuple[str, str]] = set()
        self._earliest: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._heap)

    def set(self, name: str, moment: str) -> None:
        """Set the moment of a name, unless it has an earlier one."""
        known = self._earliest.get(name)
        if known is None or moment < known:
            self._earliest[name] = moment
            if (moment, name) not in self._in_heap:
                self._in_heap.add((moment, name))
                heapq.heappush(self._heap, (moment, name))

    def take_due(self, now: str) -> list[str]:
        """Take the names off whose moment has come, the earliest first."""
        due = []
        while self._heap and self._heap[0][0] <= now:
            moment, name = timer = heapq.heappop(self._heap)
            self._in_heap.discard(timer)
            if self._earliest.get(name) == moment:
                del self._earliest[name]
                due.append(name)
        return due
