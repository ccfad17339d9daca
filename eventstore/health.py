"""How an installation fares, and the fleet: warned, held, behind an open breaker, frozen."""

import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from eventstore.breaker import SAYS_NOTHING
from eventstore.clock import parse_time
from eventstore.events import (
    AttemptEvent,
    BreakerClosed,
    BreakerOpened,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    DisablingFrozen,
    DisablingThawed,
    InstallationCalmed,
    InstallationCreated,
    InstallationEnabled,
    InstallationWarned,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.identifiers import installation_of, installation_stream
from eventstore.log import Handlers, StoredEvent

__all__ = ["HANDLERS", "Fleet", "failing_since", "has_failed_last", "read_fleet", "recent_outcomes"]

# How many of the latest outcomes a breaker is rebuilt from: far above any floor, and read in some milliseconds.
_RECENT_OUTCOMES = 500
_LATEST_EVENTS = 2000
_OUTCOMES = (DeliverySucceeded.type_name, DeliveryFailed.type_name, DeliveryTimedOut.type_name)
_BEGINS = (InstallationCreated.type_name, InstallationEnabled.type_name)
_STARTS_ANEW = (BreakerOpened.type_name, BreakerClosed.type_name, *_BEGINS)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Whether automatic disabling is frozen, since when (empty = never), and the counts of that moment."""

    is_frozen: bool
    changed_at: str
    active: int
    failing: int


def read_fleet(connection: sqlite3.Connection) -> Fleet:
    """Read whether automatic disabling is frozen."""
    is_frozen, changed_at, active, failing = connection.execute(
        "SELECT is_frozen, changed_at, active, failing FROM fleet"
    ).fetchone()
    return Fleet(bool(is_frozen), changed_at, active, failing)


def recent_outcomes(connection: sqlite3.Connection, installation_id: str) -> tuple[tuple[datetime, bool], ...]:
    """Read when the latest attempts were recorded and whether each succeeded, oldest first.

    Only what came after the last change of its breaker, as that starts anew then.
    """
    outcomes = list(islice(_outcomes_backwards(connection, installation_id, until=_STARTS_ANEW), _RECENT_OUTCOMES))
    return tuple(reversed(outcomes))


def failing_since(connection: sqlite3.Connection, installation_id: str, *, not_before: datetime) -> datetime | None:
    """Read when the first failure after the latest success was recorded, None = the latest attempt succeeded.

    `not_before`: it need not be known more exactly than that it was earlier.
    """
    since = None
    for at, is_success in _outcomes_backwards(connection, installation_id, until=_BEGINS):
        if is_success:
            break
        since = at
        if since < not_before:
            break
    return since


def _outcomes_backwards(
    connection: sqlite3.Connection, installation_id: str, *, until: Collection[str]
) -> Iterator[tuple[datetime, bool]]:
    rows = connection.execute(
        "SELECT type, recorded_at, data FROM events WHERE stream = ? ORDER BY version DESC LIMIT ?",
        (installation_stream(installation_id), _LATEST_EVENTS),
    )
    for type_name, recorded_at, data in rows:
        if type_name in until:
            return
        if type_name in _OUTCOMES and not any(f'"error_class":"{name}"' in data for name in SAYS_NOTHING):
            yield parse_time(recorded_at), type_name == DeliverySucceeded.type_name


def has_failed_last(connection: sqlite3.Connection, installation_id: str) -> bool:
    """Say whether the latest recorded attempt has failed."""
    rows = connection.execute(
        "SELECT type FROM events WHERE stream = ? ORDER BY version DESC LIMIT ?",
        (installation_stream(installation_id), _LATEST_EVENTS),
    )
    return next((name != DeliverySucceeded.type_name for (name,) in rows if name in _OUTCOMES), False)


def _set(connection: sqlite3.Connection, stored: StoredEvent, assignments: str, *values: object) -> None:
    connection.execute(
        f"UPDATE installations SET {assignments} WHERE installation_id = ?",  # noqa: S608 - names of columns
        (*values, installation_of(stored.stream)),
    )


def _set_active(connection: sqlite3.Connection, stored: StoredEvent, assignments: str, *values: object) -> None:
    # What comes late, after a decision has ended it all, must not hold back what comes after the next one.
    connection.execute(
        f"UPDATE installations SET {assignments} WHERE installation_id = ? AND state = 'active'",  # noqa: S608 - as above
        (*values, installation_of(stored.stream)),
    )


def _warned(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, InstallationWarned)  # noqa: S101
    _set(connection, stored, "warned_level = ?", stored.event.level)


def _calmed(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    _set(connection, stored, "warned_level = 0")


def _opened(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, BreakerOpened)  # noqa: S101
    if not stored.event.is_dry_run:
        _set_active(
            connection,
            stored,
            "breaker_open_until = ?, breaker_failed_trials = ?",
            stored.event.until,
            stored.event.failed_trials,
        )


def _closed(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, BreakerClosed)  # noqa: S101
    _set_active(
        connection,
        stored,
        "breaker_open_until = NULL, breaker_failed_trials = 0, breaker_strict_until = ?",
        stored.event.strict_until,
    )


def _failed(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, AttemptEvent)  # noqa: S101
    if stored.event.hold_until is not None:
        # The longest pause counts, as other attempts that were in flight may ask for less.
        _set_active(connection, stored, "hold_until = max(coalesce(hold_until, ''), ?)", stored.event.hold_until)


def _probe_failed(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    _set(connection, stored, "probe_failures = probe_failures + 1, last_probe_at = ?", stored.recorded_at)


def _probe_succeeded(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    _set(connection, stored, "last_probe_at = ?", stored.recorded_at)


def _fleet(connection: sqlite3.Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, DisablingFrozen | DisablingThawed)  # noqa: S101
    connection.execute(
        "UPDATE fleet SET is_frozen = ?, changed_at = ?, active = ?, failing = ?",
        (isinstance(event, DisablingFrozen), stored.recorded_at, event.active, event.failing),
    )


HANDLERS: Handlers = {
    InstallationWarned: _warned,
    InstallationCalmed: _calmed,
    BreakerOpened: _opened,
    BreakerClosed: _closed,
    DeliveryFailed: _failed,
    ProbeFailed: _probe_failed,
    ProbeSucceeded: _probe_succeeded,
    DisablingFrozen: _fleet,
    DisablingThawed: _fleet,
}
