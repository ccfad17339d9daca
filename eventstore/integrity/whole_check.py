"""Whether a database is what was written to it: its pages and indexes, its schema, its log, and what waits in it."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Protocol

from eventstore.errors import DamagedFileError
from eventstore.log.chain import BEFORE_ALL, follow_chain
from eventstore.log.event_log import last_position
from eventstore.queue.delivery import QUEUE_COLUMNS, QueuedDelivery
from eventstore.sqlite.migrations import schema_of

__all__ = [
    "FIX",
    "FIX_SCHEMA",
    "Advancing",
    "Nobody",
    "Watch",
    "damaged_deliveries",
    "foreign_parts",
    "integrity_faults",
    "quietly",
    "require_none",
    "require_whole",
    "small_tables",
]

FIX = "stop the daemon, then hookfuse reindex, which repairs indexes; where that does not help, restore a backup"
FIX_SCHEMA = "find out who did that; drop what is foreign with sqlite3, or restore a backup"
_MOST_NAMED = 3
# Steps of SQLite's machine between two looks at the progress: some milliseconds.
_STEPS = 500_000
_BATCH_EVENTS = 2_000


class Advancing(Protocol):
    """Somebody who is told that so much more is done."""

    def advance(self, count: int) -> None:
        """Hear it."""


# What shows that something takes long: told what it is, and how much there is (None = not known).
Watch = Callable[[str, int | None], AbstractContextManager[Advancing]]


class Nobody:
    """Who is told, and shows nothing."""

    def advance(self, count: int) -> None:
        """Hear nothing."""


@contextmanager
def quietly(_what: str, _total: int | None) -> Iterator[Advancing]:
    """Show nothing."""
    yield Nobody()


def require_whole(connection: sqlite3.Connection, watch: Watch) -> int:
    """Check all of a database, and return its last position. Raises DamagedFileError, which names the first fault."""
    with watch("checking the file", None) as progress, _telling(connection, progress):
        faults = integrity_faults(connection)
    require_none(faults, foreign_parts(connection))
    last = last_position(connection)
    with watch("checking the log", last) as progress:
        _require_chain(connection, last, progress)
    return last


def require_none(faults: Sequence[str], parts: Sequence[str]) -> None:
    """Raise DamagedFileError, with the way out, where there are faults of the file or of its schema."""
    if faults:
        raise DamagedFileError(f"the database is damaged: {faults[0]}: {FIX}")
    if parts:
        raise DamagedFileError(f"the database's schema was changed: {parts[0]}: {FIX_SCHEMA}")


def integrity_faults(connection: sqlite3.Connection, tables: Sequence[str] = ()) -> list[str]:
    """Check every page, row and index entry, of some tables or of all; return the first faults."""
    found: list[str] = []
    for pragma in [f"PRAGMA integrity_check('{table}')" for table in tables] or [
        f"PRAGMA integrity_check({_MOST_NAMED})"
    ]:
        try:
            found += [str(text) for (text,) in connection.execute(pragma) if text != "ok"]
        except sqlite3.DatabaseError as error:
            found.append(str(error))
    return [text.replace("*** in database main ***\n", "").replace("\n", "; ") for text in found[:_MOST_NAMED]]


def small_tables(connection: sqlite3.Connection) -> list[str]:
    """Return the names of all tables but the log, which is what takes long to check."""
    rows = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name != 'events' ORDER BY name")
    return [name for (name,) in rows if not name.startswith("sqlite_")]


def foreign_parts(connection: sqlite3.Connection) -> list[str]:
    """Return what the schema has that hookfuse did not make, and what is missing from it.

    A trigger or a view that somebody has put there is carried out by whoever opens the database.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    found, expected = _parts(connection), _expected_parts(version)
    texts = [f"{kind} {name} is foreign" for kind, name in sorted(found.keys() - expected.keys())]
    texts += [f"{kind} {name} is missing" for kind, name in sorted(expected.keys() - found.keys())]
    texts += [
        f"{kind} {name} differs from what hookfuse created"
        for kind, name in sorted(found.keys() & expected.keys())
        if found[kind, name] != expected[kind, name] and "sqlite_migrations" not in name
    ]
    return texts


def damaged_deliveries(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of deliveries in the queue whose payload is not what was queued."""
    with _as_stored(connection):
        rows = connection.execute(f"SELECT {QUEUE_COLUMNS} FROM queue WHERE checksum IS NOT NULL ORDER BY sequence")  # noqa: S608 - constants
        return [one.delivery_id for one in (QueuedDelivery(*row) for row in rows) if not one.is_intact]


def _require_chain(connection: sqlite3.Connection, last: int, progress: Advancing) -> None:
    position, previous = BEFORE_ALL, None
    while position < last:
        found = follow_chain(connection, position, previous, limit=_BATCH_EVENTS)
        if found.fault:
            raise DamagedFileError(f"the log is damaged: {found.fault} (replay verify --log names every fault)")
        progress.advance(found.count)
        position, previous = found.position, found.hash


@contextmanager
def _telling(connection: sqlite3.Connection, progress: Advancing) -> Iterator[None]:
    connection.set_progress_handler(lambda: progress.advance(1), _STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


@contextmanager
def _as_stored(connection: sqlite3.Connection) -> Iterator[None]:
    """Read what is not text any more as some other text."""
    connection.text_factory = lambda stored: stored.decode(errors="backslashreplace")
    try:
        yield
    finally:
        connection.text_factory = str


def _expected_parts(version: int) -> dict[tuple[str, str], str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema_of(connection, version)
        return _parts(connection)


def _parts(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    rows = connection.execute(
        "SELECT type, name, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'"
    )
    return {(kind, name): " ".join(sql.split()) for kind, name, sql in rows}
