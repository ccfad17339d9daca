"""The broken-state buffer rebuilt from the events: what its live handlers do, thousands of events at a time."""

import sqlite3
from collections import Counter

from eventstore.common.clock import day_of
from eventstore.common.identifiers import installation_of
from eventstore.errors import UnknownEventError
from eventstore.events.catalogue import (
    EVENT_CLASSES,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    DisablingFrozen,
    DisablingThawed,
    stored_names,
)
from eventstore.events.codec import decode_event
from eventstore.log.event_log import StoredEvent
from eventstore.policies.day_counts import COUNTED_CLASSES, counted_class
from eventstore.projections import broken_state_buffer as buffer
from replay.reading.log_range import LogRange
from replay.reading.raw_events import attempt_facts

__all__ = ["BufferFold"]

_SUCCEEDED, _FAILED, _TIMED_OUT = (one.type_name for one in (DeliverySucceeded, DeliveryFailed, DeliveryTimedOut))
_FROZEN, _THAWED = DisablingFrozen.type_name, DisablingThawed.type_name
# What is counted here. Everything else that the buffer follows is left to its live handlers.
_COUNTED = (_SUCCEEDED, _FAILED, _TIMED_OUT)
_HANDLERS = {
    name: handler
    for one, handler in buffer.HANDLERS.items()
    if one.type_name not in _COUNTED
    for name in stored_names((one.type_name,))
}

# position, stream, version, type, schema, recorded_at, data
_Row = tuple[int, str, int, str, int, str, str]

_DAY_CHARACTERS = len("2025-02-03")
_SUCCESS = COUNTED_CLASSES.index("success")
_FIRST, _LAST = len(COUNTED_CLASSES), len(COUNTED_CLASSES) + 1
_COLUMNS = (*COUNTED_CLASSES, "first_failure", "last_failure")
_NOTHING = [0] * len(_COLUMNS)

# Days that are counted at a time, about 30 MB of them, before they are written to the scratch.
_DAYS_IN_MEMORY = 100_000

# By far the most events are successes: they are counted a range at a time, and nothing of them is decoded.
_IS_PLAIN_SUCCESS = f"type = '{_SUCCEEDED}' AND schema = {DeliverySucceeded.schema}"
_SUCCESSES = (
    f"SELECT stream || substr(recorded_at, 1, {_DAY_CHARACTERS}) FROM events"  # noqa: S608 - constants
    f" WHERE position > ? AND position <= ? AND {_IS_PLAIN_SUCCESS}"
)
_OTHERS = (
    "SELECT position, CAST(stream AS TEXT), version, type, schema, CAST(recorded_at AS TEXT), data FROM events"  # noqa: S608 - as above
    f" WHERE position > ? AND position <= ? AND NOT ({_IS_PLAIN_SUCCESS}) ORDER BY position"
)
_ADD = (
    f"INSERT INTO buffer (installation_id, day, {', '.join(_COLUMNS)})"  # noqa: S608 - as above
    f" VALUES ({', '.join('?' * (len(_COLUMNS) + 2))}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in COUNTED_CLASSES)
    + ", first_failure = coalesce(first_failure, excluded.first_failure)"
    ", last_failure = coalesce(excluded.last_failure, last_failure)"
)


class BufferFold:
    """Counts the log, range by range, into the buffer of a scratch; memory does not grow with the events.

    What it gives is what the live handlers of `eventstore.projections.broken_state_buffer` give.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        # stream -> day -> counts by class, then the positions of the first and the last failure (0 = none)
        self._days: dict[str, dict[str, list[int]]] = {}
        self._is_frozen = False

    def follow(self, log_range: LogRange) -> None:
        """Count a range that is whole, and comes after all that was counted before.

        Raises UnknownEventError at an event that cannot be read.
        """
        counted_up_to = log_range.after_position
        for row in self._connection.execute(_OTHERS, log_range.bounds()):
            position, type_name = row[0], row[3]
            try:
                if type_name in _HANDLERS:
                    # It may empty days, so that the successes before it come before it.
                    self._count_successes(LogRange(counted_up_to, position))
                    counted_up_to = position
                    self._hand_over(row)
                else:
                    self._follow_one(row)
            except UnknownEventError as error:
                raise UnknownEventError(f"event {position}: {error}") from error
        self._count_successes(LogRange(counted_up_to, log_range.up_to_position))
        if sum(map(len, self._days.values())) > _DAYS_IN_MEMORY:
            self.write()

    def write(self) -> None:
        """Write down what was counted since the last time."""
        for stream in list(self._days):
            self._write_stream(stream)

    def _count_successes(self, log_range: LogRange) -> None:
        keys = Counter(self._connection.execute(_SUCCESSES, log_range.bounds()))
        for (key,), count in keys.items():
            self._counts(key[:-_DAY_CHARACTERS], key[-_DAY_CHARACTERS:])[_SUCCESS] += count

    def _follow_one(self, row: _Row) -> None:
        position, stream, _, type_name, schema, recorded_at, data = row
        if type_name in (_FROZEN, _THAWED):
            self._is_frozen = type_name == _FROZEN
        elif type_name in _COUNTED:
            facts = attempt_facts(type_name, schema, data)
            counted = counted_class(type_name, facts.error_class, facts.fault)
            if counted is None or (self._is_frozen and counted != "success"):
                return
            counts = self._counts(stream, day_of(recorded_at))
            counts[COUNTED_CLASSES.index(counted)] += 1
            if counted != "success":
                counts[_FIRST] = counts[_FIRST] or position
                counts[_LAST] = position
        elif type_name not in EVENT_CLASSES:
            decode_event(type_name, schema, data)  # says so

    def _counts(self, stream: str, day: str) -> list[int]:
        days = self._days.get(stream)
        if days is None:
            days = self._days[stream] = {}
        counts = days.get(day)
        if counts is None:
            counts = days[day] = _NOTHING.copy()
        return counts

    def _hand_over(self, row: _Row) -> None:
        """Leave an event to its live handler, on what was counted of its stream so far."""
        position, stream, version, type_name, schema, recorded_at, data = row
        event = decode_event(type_name, schema, data)
        self._write_stream(stream)
        _HANDLERS[type_name](self._connection, (StoredEvent(position, stream, version, recorded_at, event),))

    def _write_stream(self, stream: str) -> None:
        installation_id = installation_of(stream)
        self._connection.executemany(
            _ADD,
            (
                (installation_id, day, *counts[:_FIRST], counts[_FIRST] or None, counts[_LAST] or None)
                for day, counts in self._days.pop(stream, {}).items()
            ),
        )
