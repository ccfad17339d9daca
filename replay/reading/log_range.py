"""A range of positions in the log: whole, or which event of it is missing or cannot be read."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from eventstore.errors import DamagedLogError
from eventstore.log.event_log import StoredEvent, read_events

__all__ = ["LogRange", "naming_damage", "ranges_after", "require_first", "require_whole"]

# One range is one short read transaction: SQLite can put the WAL back into the file between two of them.
_RANGE_EVENTS = 10_000


@dataclass(frozen=True, slots=True)
class LogRange:
    """The positions after one and up to another, which belongs to it."""

    after_position: int
    up_to_position: int

    @property
    def events(self) -> int:
        """Return how many events it has when none is missing."""
        return self.up_to_position - self.after_position

    def bounds(self) -> tuple[int, int]:
        """Return both ends, as SQL's `position > ? AND position <= ?` takes them."""
        return self.after_position, self.up_to_position

    def read(self, connection: sqlite3.Connection, type_names: Sequence[str] = ()) -> Iterator[StoredEvent]:
        """Read its events, of some types or of all. Raises UnknownEventError at one that cannot be read."""
        return read_events(
            connection,
            after_position=self.after_position,
            up_to_position=self.up_to_position,
            type_names=type_names,
        )


def ranges_after(position: int, up_to_position: int) -> Iterator[LogRange]:
    """Cut what comes after a position into ranges."""
    for start in range(position, up_to_position, _RANGE_EVENTS):
        yield LogRange(start, min(start + _RANGE_EVENTS, up_to_position))


def require_first(connection: sqlite3.Connection) -> None:
    """Raise DamagedLogError when there is an event of before position 1, which nobody would read."""
    row = connection.execute("SELECT position FROM events WHERE position < 1 ORDER BY position LIMIT 1").fetchone()
    if row is not None:
        raise DamagedLogError(f"event {row[0]} stands before the first event of the log, which has position 1")


def require_whole(connection: sqlite3.Connection, log_range: LogRange) -> None:
    """Raise DamagedLogError, which names the first, when events of a range are missing."""
    (count,) = connection.execute(
        "SELECT count(*) FROM events WHERE position > ? AND position <= ?", log_range.bounds()
    ).fetchone()
    if count == log_range.events:
        return
    expected = log_range.after_position + 1
    rows = connection.execute(
        "SELECT position FROM events WHERE position > ? AND position <= ? ORDER BY position", log_range.bounds()
    )
    for (position,) in rows:
        if position != expected:
            break
        expected += 1
    raise DamagedLogError(f"event {expected} is missing from the log")


@contextmanager
def naming_damage(connection: sqlite3.Connection, log_range: LogRange) -> Iterator[None]:
    """Raise DamagedLogError where the block meets an event of the range whose text is none.

    SQLite takes any bytes for text; whoever reads them fails, and can't say where.
    """
    try:
        yield
    except (sqlite3.OperationalError, TypeError) as error:
        position = _first_without_text(connection, log_range)
        if position is None:
            raise
        raise DamagedLogError(f"event {position} holds bytes that are not text") from error


def _first_without_text(connection: sqlite3.Connection, log_range: LogRange) -> int | None:
    names = ("stream", "type", "recorded_at", "data")
    are_text = " AND ".join(f"typeof({name}) = 'text'" for name in names)
    rows = connection.execute(
        f"SELECT position, {are_text}, {', '.join(f'CAST({name} AS BLOB)' for name in names)}"  # noqa: S608 - constants
        " FROM events WHERE position > ? AND position <= ? ORDER BY position",
        log_range.bounds(),
    )
    return next((int(position) for position, *row in rows if not _is_text(*row)), None)


def _is_text(is_text: bool, *stored: bytes) -> bool:
    try:
        for one in stored:
            one.decode()
    except UnicodeDecodeError:
        return False
    return is_text
