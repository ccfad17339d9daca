"""The broken-state buffer: a day's outcomes by class, for each installation (docs/original.md, section 4)."""

from collections.abc import Mapping, Sequence

from eventstore.common.clock import day_of
from eventstore.common.connection import Connection
from eventstore.common.identifiers import installation_of
from eventstore.events.catalogue import (
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    InstallationCountsImported,
    InstallationCreated,
    InstallationEnabled,
)
from eventstore.log.event_log import Handlers, StoredEvent, one_by_one
from eventstore.policies.day_counts import COUNTED_CLASSES, IMPORTED_CLASSES, DayCounts, counted_class_of
from eventstore.sqlite.bulk import insert_rows

__all__ = ["HANDLERS", "read_days"]


def read_days(connection: Connection, installation_id: str, from_day: str) -> tuple[DayCounts, ...]:
    """Read an installation's days from `from_day` on, oldest first; days without traffic are not there."""
    rows = connection.execute(
        f"SELECT day, {', '.join(COUNTED_CLASSES)}, first_failure, last_failure FROM buffer"  # noqa: S608
        " WHERE installation_id = ? AND day >= ? ORDER BY day",
        (installation_id, from_day),
    )
    return tuple(DayCounts(*row) for row in rows)


_INTO_BUFFER = f"INSERT INTO buffer (installation_id, day, {', '.join(COUNTED_CLASSES)}, first_failure, last_failure)"
_ADDED = (
    "ON CONFLICT (installation_id, day) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTED_CLASSES)
    + ", first_failure = coalesce(first_failure, excluded.first_failure),"
    " last_failure = coalesce(excluded.last_failure, last_failure)"
)


def _count_outcomes(connection: Connection, group: Sequence[StoredEvent]) -> None:
    """Count outcomes of attempts, each under its class, on its day."""
    counted = [(stored, name) for stored in group if (name := counted_class_of(stored.event)) is not None]
    if any(name != "success" for _, name in counted) and _is_frozen(connection):
        # So many fail at once that the fault is taken to be ours: it is held against nobody.
        counted = [(stored, name) for stored, name in counted if name == "success"]
    days: dict[tuple[str, str], dict[str, int]] = {}
    for stored, name in counted:
        counts = days.setdefault((installation_of(stored.stream), day_of(stored.recorded_at)), {})
        counts[name] = counts.get(name, 0) + 1
        if name != "success":
            counts.setdefault("first_failure", stored.position)
            counts["last_failure"] = stored.position
    insert_rows(connection, _INTO_BUFFER, [_row(*key, counts) for key, counts in days.items()], _ADDED)


def _row(installation_id: str, day: str, counts: Mapping[str, int]) -> tuple[str | int | None, ...]:
    failures = counts.get("first_failure"), counts.get("last_failure")
    return (installation_id, day, *(counts.get(name, 0) for name in COUNTED_CLASSES), *failures)


_IMPORT_STATEMENT = (
    f"INSERT INTO buffer (installation_id, day, {', '.join(IMPORTED_CLASSES)})"  # noqa: S608 - names of columns
    f" VALUES (?, ?, {', '.join('?' * len(IMPORTED_CLASSES))}) ON CONFLICT (installation_id, day) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in IMPORTED_CLASSES)
)


def _count_imported(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, InstallationCountsImported)  # noqa: S101
    # Frozen or not: a person says that these are to count, and they are of another time.
    counts = (getattr(event, name) for name in IMPORTED_CLASSES)
    connection.execute(_IMPORT_STATEMENT, (installation_of(stored.stream), event.day, *counts))


def _is_frozen(connection: Connection) -> bool:
    (is_frozen,) = connection.execute("SELECT is_frozen FROM fleet").fetchone()
    return bool(is_frozen)


def _clear(connection: Connection, stored: StoredEvent) -> None:
    connection.execute("DELETE FROM buffer WHERE installation_id = ?", (installation_of(stored.stream),))


HANDLERS: Handlers = {
    **dict.fromkeys((DeliverySucceeded, DeliveryFailed, DeliveryTimedOut), _count_outcomes),
    **one_by_one(
        {
            InstallationCountsImported: _count_imported,
            InstallationCreated: _clear,  # a removed one that comes back starts again
            InstallationEnabled: _clear,
        }
    ),
}
