"""Entries in the making: added, changed, and folded where alike ones repeat. Pure."""

from collections import defaultdict
from collections.abc import Hashable
from typing import Any

from msgspec import structs

from eventstore.common.clock import day_of
from eventstore.log.event_log import StoredEvent
from replay.timeline.entries import Entry
from replay.timeline.streaks import quiet_days_between

__all__ = ["EntryList"]

# So many alike ones of a chapter have an entry each; all that follow are one with the last of them.
_ALIKE = 4


class EntryList:
    """Entries by number; a chapter is what lies between two decisions."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._alike: defaultdict[Hashable, list[int]] = defaultdict(list)

    def add(self, entry: Entry) -> int:
        """Add one, and return its number."""
        self.entries.append(entry)
        return len(self.entries) - 1

    def fold(self, entry: Entry, key: Hashable = None, *, apart_days: int = 1) -> int:
        """Add one, or make it one with the last of its kind and key, and return the number.

        They become one when fewer than `apart_days` whole days lie between them, and when there are many of them.
        """
        numbers = self._alike[type(entry), key]
        last = self.entries[numbers[-1]] if numbers else None
        if last is not None and (len(numbers) >= _ALIKE or _days_between(last, entry) < apart_days):
            self.entries[numbers[-1]] = last.plus(entry)
        else:
            numbers.append(self.add(entry))
        return numbers[-1]

    def change(self, number: int, **changes: Any) -> None:
        """Change fields of one."""
        self.entries[number] = structs.replace(self.entries[number], **changes)

    def reach(self, number: int, stored: StoredEvent, **changes: Any) -> None:
        """Extend an entry to a later event, and change fields of it."""
        self.change(number, last_at=stored.recorded_at, last_position=stored.position, **changes)

    def last(self, entry_class: type[Entry], key: Hashable = None) -> int | None:
        """Return the number of the last one of a kind in this chapter, None = there is none."""
        return next(reversed(self._alike[entry_class, key]), None)

    def end_chapter(self) -> None:
        """Fold nothing that comes into what was before."""
        self._alike.clear()


def _days_between(earlier: Entry, later: Entry) -> int:
    return quiet_days_between(day_of(earlier.last_at), day_of(later.first_at))
