"""The broken-state buffer made anew from the events, beside the one that the daemon keeps."""

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from eventstore.buffer import COUNTED_CLASSES, DayCounts, counted_class, read_days
from eventstore.clock import day_of
from eventstore.events import (
    CountsImported,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCreated,
    InstallationEnabled,
)
from eventstore.identifiers import installation_of
from eventstore.log import StoredEvent, read_events

__all__ = ["BufferDifference", "Days", "compare_buffer", "fold_buffer"]

# (installation id, UTC day) -> its counts
Days = dict[tuple[str, str], DayCounts]


@dataclass(frozen=True, slots=True)
class BufferDifference:
    """One value of the live buffer that the events do not bear out."""

    installation_id: str
    day: str
    field: str
    live: int | None
    rebuilt: int | None


def fold_buffer(events: Iterable[StoredEvent]) -> Days:
    """Count a history anew, event by event.

    Creating or enabling an installation empties its days; failures while disabling is frozen are not counted,
    but for imported ones, which count for the day that they name.
    """
    days: Days = {}
    is_frozen = False
    for stored in events:
        is_frozen = _follow_freeze(stored.event, is_frozen=is_frozen)
        installation_id = installation_of(stored.stream)
        if isinstance(stored.event, InstallationCreated | InstallationEnabled):
            days = {key: counts for key, counts in days.items() if key[0] != installation_id}
        elif isinstance(stored.event, CountsImported):
            key = installation_id, stored.event.day
            days[key] = days.get(key, DayCounts(key[1])).plus_imported(stored.event)
        elif (counted := counted_class(stored.event)) is not None and not (is_frozen and counted != "success"):
            key = installation_id, day_of(stored.recorded_at)
            days[key] = days.get(key, DayCounts(key[1])).plus(counted, stored.position)
    return days


def _follow_freeze(event: Event, *, is_frozen: bool) -> bool:
    if isinstance(event, DisablingFrozen):
        return True
    return is_frozen and not isinstance(event, DisablingThawed)


def compare_buffer(connection: sqlite3.Connection) -> list[BufferDifference]:
    """Compare the live buffer with a fold of all events, as of one moment; an empty list = they agree."""
    with_transaction = connection.in_transaction
    if not with_transaction:
        connection.execute("BEGIN")
    try:
        rebuilt = fold_buffer(read_events(connection))
        live = _live_days(connection)
    finally:
        if not with_transaction:
            connection.execute("ROLLBACK")
    return [
        BufferDifference(installation_id, day, field, *values)
        for installation_id, day in sorted(live.keys() | rebuilt.keys())
        for field in (*COUNTED_CLASSES, "first_failure", "last_failure")
        if (values := _values(live, rebuilt, (installation_id, day), field))
    ]


def _live_days(connection: sqlite3.Connection) -> Days:
    ids = [row[0] for row in connection.execute("SELECT DISTINCT installation_id FROM buffer")]
    return {(one, counts.day): counts for one in ids for counts in read_days(connection, one, from_day="")}


def _values(live: Days, rebuilt: Days, key: tuple[str, str], field: str) -> tuple[int | None, int | None] | None:
    """Give the live and the rebuilt value where they differ; a day that is not there counts nothing."""
    empty = DayCounts(key[1])
    values = getattr(live.get(key, empty), field), getattr(rebuilt.get(key, empty), field)
    return values if values[0] != values[1] else None
