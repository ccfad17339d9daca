"""The broken-state buffer: a day's outcomes by class, for each installation (FLOW section 4)."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from eventstore.common.clock import day_of, time_text
from eventstore.common.identifiers import installation_of
from eventstore.events.catalogue import (
    CountsImported,
    DayRecord,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    Event,
    InstallationCreated,
    InstallationEnabled,
)
from eventstore.log.event_log import Handlers, StoredEvent
from eventstore.sqlite.bulk import insert_rows

__all__ = [
    "COUNTED_CLASSES",
    "HANDLERS",
    "IMPORTED_CLASSES",
    "JUDGED_CLASSES",
    "DayCounts",
    "count_outcomes",
    "counted_class",
    "counted_failure",
    "read_days",
    "window_start",
]

COUNTED_CLASSES = (
    "success",
    "redirect",
    "client_error",
    "rate_limited",
    "server_error",
    "protocol",
    "timeout",
    "no_answer",
    "fatal",
)

# Those that a policy judges by: it has a connection that ended before an answer be one of these (Policy.no_answer).
JUDGED_CLASSES = tuple(name for name in COUNTED_CLASSES if name != "no_answer")

# Those that counts of another system are told apart by.
IMPORTED_CLASSES = ("success", "client_error", "timeout", "fatal")

# The sender's error classes that are counted under another name; those that are not named here and not in
# COUNTED_CLASSES are counted nowhere, as they say nothing about the endpoint ("internal", "blocked").
_CLASS_OF = {"gone": "client_error", "unavailable": "server_error"}

# By what was wrong with the answer (webhook.fault.Fault, or the class of a time-out behind a status), before the error
# class is asked. FLOW section 3: what requests raises a ConnectionError for is one thing there, a broken body another,
# whatever the status was. Not here: a head that can't be read behind a status, which is counted as that status.
_CLASS_OF_FAULT = {
    "no_answer": "no_answer",
    "reset": "no_answer",
    "bad_status_line": "no_answer",
    "head_too_large": "no_answer",
    "broken_body": "protocol",
    "read_timeout": "timeout",
    "deadline": "timeout",
    "tls": "timeout",
}


@dataclass(frozen=True, slots=True)
class DayCounts:
    """One UTC day of one installation. `first_failure` and `last_failure` are positions of events."""

    day: str
    success: int = 0
    redirect: int = 0
    client_error: int = 0
    rate_limited: int = 0
    server_error: int = 0
    protocol: int = 0
    timeout: int = 0
    no_answer: int = 0
    fatal: int = 0
    first_failure: int | None = None
    last_failure: int | None = None

    def plus(self, counted: str, position: int) -> "DayCounts":
        """Count one more outcome."""
        more = replace(self, **{counted: getattr(self, counted) + 1})
        if counted == "success":
            return more
        first = position if self.first_failure is None else self.first_failure
        return replace(more, first_failure=first, last_failure=position)

    def plus_imported(self, event: CountsImported) -> "DayCounts":
        """Count what another system has counted; no event of a failure goes with it."""
        return replace(self, **{name: getattr(self, name) + getattr(event, name) for name in IMPORTED_CLASSES})

    def record(self) -> DayRecord:
        """Give the counts as evidence holds them."""
        return DayRecord(self.day, **{name: getattr(self, name) for name in JUDGED_CLASSES})


def counted_class(event: Event) -> str | None:
    """Say under which class an outcome is counted, None = not at all."""
    if isinstance(event, DeliverySucceeded):
        return "success"
    if isinstance(event, DeliveryTimedOut | DeliveryFailed):
        return counted_failure(event.type_name, event.error_class, event.fault)
    return None


def counted_failure(type_name: str, error_class: str, fault: str) -> str | None:
    """Say under which class an attempt that is no success is counted, None = not at all.

    Pure, and the one place where it is decided: the live buffer, rebuilding, as-of, what-if and Redis ask it.
    """
    if type_name == DeliveryTimedOut.type_name:
        return "timeout"
    if type_name != DeliveryFailed.type_name:
        return None
    if fault in _CLASS_OF_FAULT and error_class != "rate_limited":  # 429 is held against nobody
        return _CLASS_OF_FAULT[fault]
    counted = _CLASS_OF.get(error_class, error_class)
    return counted if counted in COUNTED_CLASSES else None


def window_start(now: datetime, window_days: int) -> str:
    """Give the first UTC day of a window that ends today."""
    return day_of(time_text(now - timedelta(days=window_days - 1)))


def read_days(connection: sqlite3.Connection, installation_id: str, from_day: str) -> tuple[DayCounts, ...]:
    """Read an installation's days from `from_day` on, oldest first; days without traffic are not there."""
    rows = connection.execute(
        f"SELECT day, {', '.join(COUNTED_CLASSES)}, first_failure, last_failure FROM buffer"  # noqa: S608
        " WHERE installation_id = ? AND day >= ? ORDER BY day",
        (installation_id, from_day),
    )
    return tuple(DayCounts(*row) for row in rows)


_INTO_BUFFER = f"INSERT INTO buffer (installation_id, day, {', '.join(COUNTED_CLASSES)}, first_failure, last_failure)"
_ADDED = (
    "ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTED_CLASSES)
    + ", first_failure = coalesce(first_failure, excluded.first_failure),"
    " last_failure = coalesce(excluded.last_failure, last_failure)"
)


def count_outcomes(connection: sqlite3.Connection, group: Sequence[StoredEvent]) -> None:
    """Count outcomes of attempts, each under its class, on its day."""
    counted = [(stored, name) for stored in group if (name := counted_class(stored.event)) is not None]
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


def _count(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    count_outcomes(connection, (stored,))


_IMPORT_STATEMENT = (
    f"INSERT INTO buffer (installation_id, day, {', '.join(IMPORTED_CLASSES)})"  # noqa: S608 - names of columns
    f" VALUES (?, ?, {', '.join('?' * len(IMPORTED_CLASSES))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in IMPORTED_CLASSES)
)


def _count_imported(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, CountsImported)  # noqa: S101
    # Frozen or not: a person says that these are to count, and they are of another time.
    counts = (getattr(event, name) for name in IMPORTED_CLASSES)
    connection.execute(_IMPORT_STATEMENT, (installation_of(stored.stream), event.day, *counts))


def _is_frozen(connection: sqlite3.Connection) -> bool:
    (is_frozen,) = connection.execute("SELECT is_frozen FROM fleet").fetchone()
    return bool(is_frozen)


def _clear(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    connection.execute("DELETE FROM buffer WHERE installation_id = ?", (installation_of(stored.stream),))


HANDLERS: Handlers = {
    **dict.fromkeys((DeliverySucceeded, DeliveryFailed, DeliveryTimedOut), _count),
    CountsImported: _count_imported,
    InstallationCreated: _clear,  # a removed one that comes back starts anew
    InstallationEnabled: _clear,
}
