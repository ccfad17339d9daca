"""A point of the past: by a position of the log, or by time."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eventstore.common.clock import parse_time, time_text
from eventstore.common.connection import Connection
from eventstore.errors import RejectedError
from eventstore.log.event_log import last_position

__all__ = ["Moment", "latest_moment", "moment_at", "moment_of", "moment_text"]


@dataclass(frozen=True, slots=True)
class Moment:
    """All events up to `position` or, by time, of each stream all up to the last one recorded by `at`.

    The two differ where a history was imported: its events stand late in the log, and tell of earlier times.
    What is there at the moment is evaluated as of `at`.
    """

    position: int
    at: datetime
    is_by_time: bool = False

    def last_version(self, connection: Connection, stream: str, database: str = "main") -> int:
        """Return the version that a stream had reached, 0 = it was not there yet; `database` as SQL names it.

        Found by halving, as both position and time grow with the version (where a clock was set back, and the
        moment lies within that, either side of it is as good).
        """
        column, last = ("recorded_at", time_text(self.at)) if self.is_by_time else ("position", self.position)
        (count,) = connection.execute(
            f"SELECT coalesce(max(version), 0) FROM {database}.events WHERE stream = ?",  # noqa: S608 - names
            (stream,),
        ).fetchone()
        value_at = (
            f"SELECT {column} FROM {database}.events WHERE stream = ? AND version <= ?"  # noqa: S608 - names
            " ORDER BY version DESC LIMIT 1"
        )
        return _count_up_to(count, last, lambda version: connection.execute(value_at, (stream, version)).fetchone())

    def is_after(self, other: "Moment") -> bool:
        """Return whether this is the later one; positions are compared by the log's order, not by clocks."""
        if self.is_by_time or other.is_by_time:
            return self.at > other.at
        return self.position > other.position

    def begins(self) -> tuple[str, object]:
        """Return the condition, as SQL and its value, that an event is of the time from this moment on."""
        return ("recorded_at >= ?", time_text(self.at)) if self.is_by_time else ("position > ?", self.position)


def moment_text(moment: Moment) -> str:
    """Return a moment as a person reads it."""
    return f"{time_text(moment.at)[:19]}Z (event {moment.position})"


def moment_of(connection: Connection, position: int) -> Moment:
    """Return the moment at which an event had been recorded; 0 = before the first one.

    Raises RejectedError when there is no such event yet.
    """
    last = last_position(connection)
    if position > last:
        raise RejectedError(f"there is no event {position}: the last one is {last}; a date is written as 2025-02-01")
    row = connection.execute(
        "SELECT recorded_at FROM events WHERE position >= ? ORDER BY position LIMIT 1", (max(position, 1),)
    ).fetchone()
    if row is None:
        raise RejectedError("nothing has been recorded yet")
    return Moment(position, parse_time(row[0]))


def moment_at(connection: Connection, at: datetime, now: datetime) -> Moment:
    """Return the moment `at`, with the last event that was recorded by then (0 = none).

    Raises RejectedError for a moment that lies in the future, of which nothing is recorded.
    """
    if at > now:
        raise RejectedError(f"{time_text(at)[:19]}Z lies in the future: nothing is known of it yet")
    time_at = "SELECT recorded_at FROM events WHERE position <= ? ORDER BY position DESC LIMIT 1"
    position = _count_up_to(
        last_position(connection), time_text(at), lambda one: connection.execute(time_at, (one,)).fetchone()
    )
    return Moment(position, at, is_by_time=True)


def _count_up_to(count: int, last: object, row_at: Callable[[int], Sequence[Any] | None]) -> int:
    """Return how many of the numbers from 1 have a value that is not after the last one; no row is before all."""

    def is_after(number: int) -> bool:
        row = row_at(number)
        return row is not None and row[0] > last

    return bisect_left(range(1, count + 1), True, key=is_after)


def latest_moment(connection: Connection, now: datetime) -> Moment:
    """Return the present moment, with all that is recorded."""
    return Moment(last_position(connection), now)
