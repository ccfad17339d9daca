"""The original's layout in Redis: keys, fields, limits and times to live (docs/original.md, sections 4 and 5). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol

import msgspec

from eventstore.common.clock import day_of, parse_time
from eventstore.common.identifiers import installation_of
from eventstore.events.catalogue import (
    AttemptEvent,
    DisablingFrozen,
    DisablingThawed,
    InstallationCountsImported,
    InstallationCreated,
    InstallationDisabled,
    InstallationEnabled,
)
from eventstore.log.event_log import StoredEvent
from eventstore.policies.day_counts import IMPORTED_CLASSES, counted_class_of
from eventstore.policies.policy import SENTRY_2024, class_under
from eventstore.projections.request_log import KEPT_ROWS, is_error_code, request_row

__all__ = [
    "COUNT_FIELDS",
    "KEPT",
    "KEY_PATTERN",
    "Directory",
    "Place",
    "RedisChange",
    "buffer_key",
    "collect",
    "request_keys",
]

KEY_PATTERN = "sentry-app-*"
KEPT = timedelta(days=30)
# How many days before an enabling may still have a key: those of 30 days, and what was imported for a year.
_CLEARED_DAYS = 366

# Our classes under the original's names; what it counts nowhere is not here (docs/original.md, section 3).
COUNT_FIELDS = {
    "success": "success_count",
    "client_error": "error_count",
    "timeout": "timeout_count",
    "fatal": "fatal_count",
}


@dataclass(frozen=True, slots=True)
class Place:
    """What an installation's keys are named by, and whether the original counts it: internal apps only."""

    app_id: int
    organization_id: int
    is_internal: bool


class Directory(Protocol):
    """Knows the places of installations and the kinds of apps."""

    def place_of(self, installation_id: str) -> Place | None:
        """Return where an installation belongs, None when it is not known."""

    def is_internal(self, app_id: int) -> bool:
        """Return whether an app is of status internal; one that is not known counts as published."""


@dataclass(slots=True)
class RedisChange:
    """What some events in a row change, so added up that each key is written once: first deletes, then the rest."""

    deleted: set[str] = field(default_factory=set)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    rows: dict[str, list[bytes]] = field(default_factory=dict)
    expires_at: dict[str, datetime] = field(default_factory=dict)
    is_frozen: bool = False


def buffer_key(place: Place, day: str) -> str:
    """Return the key of the hash of one day's counts."""
    return f"sentry-app-error:{place.app_id}:{place.organization_id}:{day}"


def request_keys(app_id: int, event_name: str) -> tuple[str, str]:
    """Return the names of the lists of the last requests and of the last errors; the braces are a hash tag of Redis."""
    name = f"{{{app_id}}}:{event_name}"
    return f"sentry-app-webhook-request:{name}", f"sentry-app-webhook-error:{name}"


def collect(events: Sequence[StoredEvent], directory: Directory, *, is_frozen: bool) -> RedisChange:
    """Add up what events in a row change; `is_frozen`: whether disabling was frozen before the first of them."""
    change = RedisChange(is_frozen=is_frozen)
    for stored in events:
        event = stored.event
        if isinstance(event, AttemptEvent):
            _log(change, stored, event, directory)
            counted = class_under(SENTRY_2024, counted_class_of(event) or "")
            if counted in COUNT_FIELDS and not (change.is_frozen and counted != "success"):
                place = Place(event.app_id, event.organization_id, directory.is_internal(event.app_id))
                _count(change, stored, place, day_of(stored.recorded_at), {counted: 1})
        elif isinstance(event, DisablingFrozen | DisablingThawed):
            change.is_frozen = isinstance(event, DisablingFrozen)
        elif isinstance(event, InstallationCountsImported):
            counts = {name: getattr(event, name) for name in IMPORTED_CLASSES}
            _count(change, stored, directory.place_of(event.installation_id), event.day, counts)
        elif isinstance(event, InstallationCreated | InstallationEnabled | InstallationDisabled):
            # The original clears at the disabling; an enabled one must not be disabled again by its old days.
            _clear(change, stored, directory.place_of(installation_of(stored.stream)))
    return change


def _count(change: RedisChange, stored: StoredEvent, place: Place | None, day: str, counts: Mapping[str, int]) -> None:
    if place is None or not place.is_internal:
        return
    key = buffer_key(place, day)
    fields = change.counts.setdefault(key, {})
    for name, count in counts.items():
        if count:
            fields[COUNT_FIELDS[name]] = fields.get(COUNT_FIELDS[name], 0) + count
    _keep(change, key, stored)


def _log(change: RedisChange, stored: StoredEvent, event: AttemptEvent, directory: Directory) -> None:
    is_internal = directory.is_internal(event.app_id)
    row = msgspec.json.encode(request_row(event, _date(stored.recorded_at), is_internal=is_internal))
    requests, errors = request_keys(event.app_id, event.event_name)
    for key in (requests, errors) if is_error_code(event.status_code) else (requests,):
        rows = change.rows.setdefault(key, [])
        rows.append(row)
        del rows[:-KEPT_ROWS]
        _keep(change, key, stored)


def _date(recorded_at: str) -> str:
    """Write a moment as the original's rows do: YYYY-MM-DD HH:MM:SS.ffffff+00:00 (docs/original.md, section 5)."""
    return parse_time(recorded_at).isoformat(sep=" ", timespec="microseconds")


def _clear(change: RedisChange, stored: StoredEvent, place: Place | None) -> None:
    if place is None:
        return
    today = date.fromisoformat(day_of(stored.recorded_at))
    # Until tomorrow: the clock of another process may be ahead of that which recorded this.
    keys = {buffer_key(place, str(today - timedelta(days=number))) for number in range(-1, _CLEARED_DAYS)}
    for key in keys & change.counts.keys():
        del change.counts[key]
        del change.expires_at[key]
    change.deleted |= keys


def _keep(change: RedisChange, key: str, stored: StoredEvent) -> None:
    # From when it was recorded, not from when it is written here: what is caught up with lives no longer for it.
    change.expires_at[key] = parse_time(stored.recorded_at) + KEPT
