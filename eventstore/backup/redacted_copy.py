"""A copy of the database to look into with other programs: without secrets, and not to be restored."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from eventstore.backup.copy import new_copy
from eventstore.home.folder import Home
from eventstore.integrity.whole_check import Watch, quietly, require_whole
from eventstore.sqlite.database import explained, open_database
from eventstore.sqlite.high_water_mark import reached_by, read_mark, require_kept

__all__ = ["COPIED_TABLES", "copy_without_secrets"]

# Named one by one, so that a table that is new stays out until somebody has thought about it.
COPIED_TABLES = (
    "organizations",
    "apps",
    "installations",
    "fleet",
    "buffer",
    "request_log",
    "failures",
    "audit",
    "outbox",
    "queue",
    "parcels",
    "events",
)

# Events between two looks at the progress.
_BATCH = 50_000

# What a person asks for, and the daemon does not: by these it is found at once.
_INDEXES = (
    "CREATE INDEX events_by_type ON events (type, recorded_at)",
    """CREATE INDEX events_by_delivery ON events (json_extract(data, '$.delivery_id'))
        WHERE json_extract(data, '$.delivery_id') IS NOT NULL""",
)


def copy_without_secrets(home: Home, target: Path, on_events: Callable[[int], None], watch: Watch = quietly) -> int:
    """Copy what may be looked at, as of one moment, to a new private file; return its last position.

    The tables are written one by one into a new file, so that no secret is ever in it, not even in a page that was
    freed. The file is marked as no database of hookfuse's: no home can be put on it by mistake. `on_events` is told
    how many more were copied. Raises RejectedError when the target is there already, DamagedFileError when the
    database is not what was written to it, LostCommitsError when it is behind its mark, and DatabaseError.
    """
    with new_copy(home, target) as draft, explained(draft):
        mark = read_mark(home.database)
        # Open meanwhile: it brings an older file to this schema, and keeps the WAL that the copying reads.
        with (
            closing(open_database(home.database, is_writer=False)) as source,
            closing(_attached(draft, home.database)) as copy,
        ):
            with explained(home.database):
                require_kept(home.database, mark, reached_by(source))
                require_whole(source, watch)
            copy.execute("BEGIN")
            for table in COPIED_TABLES:
                _copy_table(copy, table, on_events)
            for statement in (*_schema(copy, "index"), *_schema(copy, "trigger"), *_INDEXES):
                copy.execute(statement)
            (position,) = copy.execute("SELECT coalesce(max(position), 0) FROM main.events").fetchone()
            copy.execute("COMMIT")
        return int(position)


def _attached(draft: Path, database: Path) -> sqlite3.Connection:
    """Open the new file, with the home's database beside it for reading."""
    connection = sqlite3.connect(draft, isolation_level=None, uri=True)
    try:
        # Nobody else sees it before it is whole, and a draft that a crash leaves is of no use.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("ATTACH ? AS home", (f"{database.absolute().as_uri()}?mode=ro",))
    except BaseException:
        connection.close()
        raise
    return connection


def _copy_table(copy: sqlite3.Connection, table: str, on_events: Callable[[int], None]) -> None:
    (statement,) = _schema(copy, "table", table)
    copy.execute(statement)
    if table != "events":
        copy.execute(f"INSERT INTO main.{table} SELECT * FROM home.{table}")  # noqa: S608 - names of tables
        return
    (newest,) = copy.execute("SELECT coalesce(max(position), 0) FROM home.events").fetchone()
    for start in range(0, newest, _BATCH):
        cursor = copy.execute(
            "INSERT INTO main.events SELECT * FROM home.events WHERE position > ? AND position <= ? ORDER BY position",
            (start, start + _BATCH),
        )
        on_events(cursor.rowcount)


def _schema(copy: sqlite3.Connection, kind: str, name: str | None = None) -> Iterator[str]:
    """Return the statements that made the copied tables, or what belongs to them."""
    rows = copy.execute(
        "SELECT tbl_name, sql FROM home.sqlite_schema WHERE type = ? AND sql IS NOT NULL AND (? IS NULL OR name = ?)",
        (kind, name, name),
    )
    return iter([sql for table, sql in rows.fetchall() if table in COPIED_TABLES])
