"""All that was recorded about one delivery, found without reading what was recorded about all others."""

import sqlite3
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from eventstore.common.clock import time_text
from eventstore.common.identifiers import installation_stream, made_at
from eventstore.events.catalogue import AttemptEvent, Event
from eventstore.events.codec import decode_event
from eventstore.log.event_log import StoredEvent
from eventstore.queue.queries import find_delivery

__all__ = ["Trail", "find_stream", "read_trail"]

Advance = Callable[[int], None]

# The id was made by a producer, the event recorded by the daemon: two looks at the machine's clock.
_CLOCK_MARGIN = timedelta(minutes=5)

# What is read at once: a progress bar moves, and Ctrl-C is heard.
_BATCH = 20_000

# A delivery's first event comes seconds after it was queued, or waits with its installation: first the seconds.
_FIRST_LOOK_EVENTS = 50_000

# What holds all of an installation's deliveries back, or lets them go, or was decided about it.
_AROUND = (
    "breaker.opened",
    "breaker.closed",
    "installation.warned",
    "installation.disabled",
    "installation.enabled",
    "installation.removed",
    "recovery.started",
    "recovery.completed",
)
# After one of these nothing more happens to a delivery.
_ENDS = ("delivery.succeeded", "delivery.dropped", "probe.succeeded", "probe.failed")

# Beyond these the rest is counted: an installation can be paused and opened for weeks.
_MOST_AROUND = 200


@dataclass(frozen=True, slots=True)
class Trail:
    """The events that name a delivery, and those around them that concern its installation as a whole.

    Pauses are among these where another delivery's answer asked for one. `left_out`: how many more there are.
    """

    events: tuple[StoredEvent, ...]
    around: tuple[StoredEvent, ...]
    left_out: int = 0

    @property
    def is_over(self) -> bool:
        """Return whether nothing more happens to the delivery."""
        return any(stored.type in _ENDS for stored in self.events)


def find_stream(
    connection: sqlite3.Connection, delivery_id: str, *, is_thorough: bool, advance: Advance | None = None
) -> str | None:
    """Return the stream of a delivery's installation: by the queue, or by the first event that names it.

    The events are those recorded after the id was made; `is_thorough`: all of them, and then those before it.
    """
    queued = find_delivery(connection, delivery_id)
    if queued is not None:
        return installation_stream(queued.installation_id)
    (newest,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    first = _first_position(connection, _earliest(delivery_id), newest)
    last = newest if is_thorough else min(newest, first + _FIRST_LOOK_EVENTS)
    found = _search(connection, delivery_id, first, last, advance)
    if found is None and is_thorough:  # a clock was wrong, or the history comes from elsewhere
        found = _search(connection, delivery_id, 1, first - 1, advance)
    return found


def read_trail(connection: sqlite3.Connection, delivery_id: str, stream: str, advance: Advance | None = None) -> Trail:
    """Read a delivery's events from the stream of its installation, from when its id was made to its end.

    Raises UnknownEventError.
    """
    (newest,) = connection.execute(
        "SELECT coalesce(max(version), 0) FROM events WHERE stream = ?", (stream,)
    ).fetchone()
    first = _first_version(connection, stream, _earliest(delivery_id), newest)
    trail = _read(connection, delivery_id, stream, (first, newest), advance)
    if trail.events or first == 1:
        return trail
    return _read(connection, delivery_id, stream, (1, newest), advance)


def _earliest(delivery_id: str) -> str:
    """Return the time before which nothing about a delivery can be recorded; empty = it can't be told."""
    made = made_at(delivery_id)
    return time_text(made - _CLOCK_MARGIN) if made else ""


def _first_position(connection: sqlite3.Connection, earliest: str, newest: int) -> int:
    """Find where the events of a time begin, in some twenty steps: they are in the order of time."""

    def recorded_at(position: int) -> str:
        row = connection.execute(
            "SELECT recorded_at FROM events WHERE position >= ? ORDER BY position LIMIT 1", (position,)
        ).fetchone()
        return str(row[0])

    return bisect_left(range(newest + 1), earliest, lo=1, key=recorded_at) if newest else 1


def _first_version(connection: sqlite3.Connection, stream: str, earliest: str, newest: int) -> int:
    def recorded_at(version: int) -> str:
        row = connection.execute(
            "SELECT recorded_at FROM events WHERE stream = ? AND version >= ? ORDER BY version LIMIT 1",
            (stream, version),
        ).fetchone()
        return str(row[0])

    return bisect_left(range(newest + 1), earliest, lo=1, key=recorded_at) if newest else 1


def _search(
    connection: sqlite3.Connection, delivery_id: str, first: int, last: int, advance: Advance | None
) -> str | None:
    """Return the stream of the first event of a range of positions that names a delivery."""
    for start in range(first, last + 1, _BATCH):
        rows = connection.execute(
            "SELECT stream, type, schema, data FROM events WHERE position BETWEEN ? AND ? AND instr(data, ?)"
            " ORDER BY position",
            (start, min(start + _BATCH - 1, last), delivery_id),
        )
        for stream, type_name, schema, data in rows:
            if _is_about(decode_event(type_name, schema, data), delivery_id):
                return str(stream)
        if advance is not None:
            advance(_BATCH)
    return None


def _read(
    connection: sqlite3.Connection, delivery_id: str, stream: str, versions: tuple[int, int], advance: Advance | None
) -> Trail:
    first, newest = versions
    gathered = _Gathered(delivery_id)
    for start in range(first, newest + 1, _BATCH):
        rows = connection.execute(
            "SELECT position, stream, version, type, schema, recorded_at, data FROM events"  # noqa: S608 - names
            " WHERE stream = ? AND version BETWEEN ? AND ? AND (instr(data, ?) OR instr(data, '\"hold_until\":')"
            f" OR type IN ({', '.join('?' * len(_AROUND))})) ORDER BY version",
            (stream, start, start + _BATCH - 1, delivery_id, *_AROUND),
        )
        for position, stream_name, version, type_name, schema, recorded_at, data in rows:
            event = decode_event(type_name, schema, data)
            gathered.add(StoredEvent(position, stream_name, version, recorded_at, event))
        if gathered.trail().is_over:
            break
        if advance is not None:
            advance(_BATCH)
    return gathered.trail()


class _Gathered:
    """Takes the events of a stream in order and keeps those that belong to a delivery's trail."""

    def __init__(self, delivery_id: str) -> None:
        self._delivery_id = delivery_id
        self._events: list[StoredEvent] = []
        self._around: list[StoredEvent] = []
        self._left_out = 0
        self._held_until = ""

    def add(self, stored: StoredEvent) -> None:
        if _is_about(stored.event, self._delivery_id):
            self._events.append(stored)
        elif self._is_new_around(stored):
            if len(self._around) < _MOST_AROUND:
                self._around.append(stored)
            else:
                self._left_out += 1

    def trail(self) -> Trail:
        return Trail(tuple(self._events), tuple(self._around), self._left_out)

    def _is_new_around(self, stored: StoredEvent) -> bool:
        """Return whether something is to be told: of many answers that ask for a pause, the one that began it."""
        if stored.type in _AROUND:
            return True
        if not isinstance(stored.event, AttemptEvent):
            return False
        until = stored.event.hold_until or ""
        is_first = bool(until) and stored.recorded_at > self._held_until
        self._held_until = max(self._held_until, until)
        return is_first


def _is_about(event: Event, delivery_id: str) -> bool:
    return getattr(event, "delivery_id", None) == delivery_id
