"""The health of installations and of the fleet: warned, paused, behind an open breaker, frozen."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from eventstore.common.clock import parse_time, time_text
from eventstore.common.connection import Connection
from eventstore.common.identifiers import installation_of, installation_stream
from eventstore.events.catalogue import (
    AttemptEvent,
    BreakerClosed,
    BreakerOpened,
    DeliveryFailed,
    DeliverySucceeded,
    DisablingFrozen,
    DisablingThawed,
    EndpointChanged,
    InstallationCreated,
    InstallationEnabled,
    InstallationWarned,
    InstallationWarningLifted,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.log.change_signal import notify_change
from eventstore.log.event_log import Handlers, StoredEvent, one_by_one
from eventstore.policies.recent_outcomes import LATEST_EVENTS, OUTCOMES, says_nothing
from eventstore.policies.waits import LONGEST_PAUSE_S

__all__ = ["HANDLERS", "Outage", "failing_since", "read_outage"]

_BEGINS = (InstallationCreated.type_name, InstallationEnabled.type_name)


@dataclass(frozen=True, slots=True)
class Outage:
    """Whether automatic disabling is frozen, since when (empty = never), and the counts of that moment."""

    is_frozen: bool
    changed_at: str
    active: int
    failing: int


def read_outage(connection: Connection) -> Outage:
    """Read whether automatic disabling is frozen."""
    is_frozen, changed_at, active, failing = connection.execute(
        "SELECT is_frozen, changed_at, active, failing FROM fleet"
    ).fetchone()
    return Outage(bool(is_frozen), changed_at, active, failing)


def failing_since(connection: Connection, installation_id: str, *, not_before: datetime) -> datetime | None:
    """Read when the first failure after the latest success was recorded, None = the latest attempt succeeded.

    `not_before`: it need not be known more exactly than that it was earlier.
    """
    since = None
    for at, is_success in _outcomes_backwards(connection, installation_id):
        if is_success:
            break
        since = at
        if since < not_before:
            break
    return since


def _outcomes_backwards(connection: Connection, installation_id: str) -> Iterator[tuple[datetime, bool]]:
    rows = connection.execute(
        "SELECT type, recorded_at, data FROM events WHERE stream = ? ORDER BY version DESC LIMIT ?",
        (installation_stream(installation_id), LATEST_EVENTS),
    )
    for type_name, recorded_at, data in rows:
        if type_name in _BEGINS:
            return
        if type_name in OUTCOMES and not says_nothing(type_name, data):
            yield parse_time(recorded_at), type_name == DeliverySucceeded.type_name


def _set(connection: Connection, stored: StoredEvent, assignments: str, *values: object) -> None:
    connection.execute(
        f"UPDATE installations SET {assignments} WHERE installation_id = ?",  # noqa: S608 - names of columns
        (*values, installation_of(stored.stream)),
    )


def _set_active(connection: Connection, stored: StoredEvent, assignments: str, *values: object) -> None:
    # What comes late, after a decision has ended it all, must not hold back what comes after the next one.
    connection.execute(
        f"UPDATE installations SET {assignments} WHERE installation_id = ? AND state = 'active'",  # noqa: S608 - as above
        (*values, installation_of(stored.stream)),
    )


def _warned(connection: Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, InstallationWarned)  # noqa: S101
    _set(connection, stored, "warned_level = ?", stored.event.level)


def _warning_lifted(connection: Connection, stored: StoredEvent) -> None:
    _set(connection, stored, "warned_level = 0")


def _opened(connection: Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, BreakerOpened)  # noqa: S101
    if not stored.event.is_dry_run and not _is_of_another_url(connection, stored, stored.event.webhook_url):
        _set_active(
            connection,
            stored,
            "breaker_open_until = ?, breaker_failed_trials = ?",
            stored.event.until,
            stored.event.failed_trials,
        )


def _closed(connection: Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, BreakerClosed)  # noqa: S101
    _set_active(
        connection,
        stored,
        "breaker_open_until = NULL, breaker_failed_trials = 0, breaker_strict_until = ?",
        stored.event.strict_until,
    )
    if stored.event.by:
        # The actor has its own breaker, and sees by this that somebody else has closed it.
        _set_active(connection, stored, "breaker_closed_position = ?", stored.position)
        notify_change(connection)


def _changed(connection: Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, EndpointChanged)  # noqa: S101
    assignments = (
        "breaker_open_until = NULL, breaker_failed_trials = 0, breaker_strict_until = NULL, breaker_closed_position = ?"
    )
    if "webhook_url" in stored.event.changed:
        assignments += ", hold_until = NULL, probe_failures = 0, last_probe_at = NULL"
    _set(connection, stored, assignments, stored.position)
    notify_change(connection)


def _is_of_another_url(connection: Connection, stored: StoredEvent, url: str) -> bool:
    """Return whether what is told of a URL comes after the app got another; empty = it is not known of which."""
    row = connection.execute(
        "SELECT 1 FROM installations JOIN apps USING (app_id) WHERE installation_id = ? AND webhook_url != ?",
        (installation_of(stored.stream), url),
    ).fetchone()
    return url != "" and row is not None


def _failed(connection: Connection, stored: StoredEvent) -> None:
    assert isinstance(stored.event, AttemptEvent)  # noqa: S101
    event = stored.event
    if event.hold_until is not None and not _is_of_another_url(connection, stored, event.webhook_url):
        # The longest pause counts, as other attempts that were in flight may ask for less; except for one that was
        # asked for by another clock, far ahead of this one.
        latest = time_text(parse_time(stored.recorded_at) + timedelta(seconds=LONGEST_PAUSE_S))
        longer = "CASE WHEN hold_until IS NULL OR hold_until > ? THEN ? ELSE max(hold_until, ?) END"
        until = event.hold_until
        _set_active(connection, stored, f"hold_until = {longer}", max(latest, until), until, until)


def _probe_failed(connection: Connection, stored: StoredEvent) -> None:
    _set(connection, stored, "probe_failures = probe_failures + 1, last_probe_at = ?", stored.recorded_at)


def _probe_succeeded(connection: Connection, stored: StoredEvent) -> None:
    _set(connection, stored, "last_probe_at = ?", stored.recorded_at)


def _fleet(connection: Connection, stored: StoredEvent) -> None:
    event = stored.event
    assert isinstance(event, DisablingFrozen | DisablingThawed)  # noqa: S101
    connection.execute(
        "UPDATE fleet SET is_frozen = ?, changed_at = ?, active = ?, failing = ?",
        (isinstance(event, DisablingFrozen), stored.recorded_at, event.active, event.failing),
    )


HANDLERS: Handlers = one_by_one(
    {
        DeliveryFailed: _failed,
        ProbeFailed: _probe_failed,
        ProbeSucceeded: _probe_succeeded,
        InstallationWarned: _warned,
        InstallationWarningLifted: _warning_lifted,
        BreakerOpened: _opened,
        BreakerClosed: _closed,
        EndpointChanged: _changed,
        DisablingFrozen: _fleet,
        DisablingThawed: _fleet,
    }
)
