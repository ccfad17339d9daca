"""The timeline of an installation, read from the log."""

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial

from eventstore.common.clock import time_text
from eventstore.events.catalogue import ATTEMPT_TYPES, DeliverySucceeded, ProbeFailed, ProbeSucceeded
from eventstore.events.codec import decode_event
from eventstore.log.event_log import StoredEvent
from replay.projecting.attempt_tally import read_attempt
from replay.reading.history import EventRow, History, with_position
from replay.reading.log_range import LogRange, naming_damage
from replay.reading.moment import Moment
from replay.timeline.entries import DECISIONS, Creation, Entry, Freeze
from replay.timeline.outcome_days import OutcomeDays
from replay.timeline.timeline import Timeline

__all__ = ["is_over", "tell"]

_OF_DELIVERIES = ATTEMPT_TYPES - {ProbeSucceeded.type_name, ProbeFailed.type_name}


def tell(
    connection: sqlite3.Connection,
    installation_id: str,
    until: Moment,
    *,
    since: Moment | None = None,
    days: OutcomeDays | None = None,
    note: Callable[[int], None] = lambda _count: None,
) -> tuple[Entry, ...]:
    """Tell what happened to an installation up to a moment, telling `note` now and then how many more events are read.

    With `since` only what was not over by then, and the decision that was in force. `days` follows the same events.
    Raises NotFoundError when it was not there yet, DamagedLogError, which names it, at an event that cannot be read.
    """
    history = History(connection, installation_id)
    timeline = Timeline(time_text(since.at) if since else "")
    follow = partial(_follow, timeline, days)
    with naming_damage(connection, LogRange(0, until.position)):
        for row in history.rows(history.versions(until), since=since, note=note):
            with_position(follow, row)
    entries = timeline.finish(time_text(until.at), until.position)
    created = next(number for number, entry in enumerate(entries) if isinstance(entry, Creation))
    return _not_over(entries[created:], since) if since else entries[created:]


def _follow(timeline: Timeline, days: OutcomeDays | None, row: EventRow) -> None:
    position, stream, version, type_name, schema, recorded_at, data = row
    if type_name in _OF_DELIVERIES:
        is_success = type_name == DeliverySucceeded.type_name
        attempt = None if is_success else read_attempt(type_name, schema, data)
        error_class, fault = ("", "") if attempt is None else (attempt.error_class, attempt.fault)
        timeline.follow_attempt(recorded_at, position, None if is_success else error_class)
        if days is not None:
            days.follow_attempt(recorded_at, type_name, error_class, fault)
    else:
        stored = StoredEvent(position, stream, version, recorded_at, decode_event(type_name, schema, data))
        timeline.follow(stored)
        if days is not None:
            days.follow(stored)


def _not_over(entries: Sequence[Entry], since: Moment) -> tuple[Entry, ...]:
    """Leave out what was over by a moment, except for the decision that was in force then."""
    over = [entry for entry in entries if is_over(entry, since)]
    in_force = next((entry for entry in reversed(over) if isinstance(entry, DECISIONS)), None)
    return tuple(entry for entry in entries if entry is in_force or entry not in over)


def is_over(entry: Entry, since: Moment) -> bool:
    """Return whether all of an entry had happened before a moment; what has not ended is never over."""
    if isinstance(entry, Freeze) and entry.lifted_at is None:
        return False
    return entry.last_at < time_text(since.at) if since.is_by_time else entry.last_position <= since.position
