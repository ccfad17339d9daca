"""A private place to rebuild projections: empty tables beside the live database, which is attached to them."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eventstore.errors import DatabaseError, DiskFullError
from eventstore.log.event_log import StoredEvent
from eventstore.projections.catalogue import PROJECTIONS, project
from eventstore.sqlite.database import BUSY_S, explained, open_database, wait_at_most
from eventstore.sqlite.migrations import migrate

__all__ = ["Scratch", "open_scratch", "together"]

# Far above what is written between two looks at the same page; beyond it SQLite writes to the file.
_CACHE_KIB = 32_768

_NO_ROOM = ("SQLITE_FULL", "SQLITE_IOERR_WRITE")

# The registry's handlers move `attention`: here nobody is to notice.
_KEPT = {"attention", *(table for projection in PROJECTIONS.values() for table in projection.tables)}


class Scratch:
    """Projection tables that begin empty; in SQL they go by their own names, the live ones by `live.NAME`.

    `events` and the queue are not among them, so that their bare names mean the live ones: the readers of
    eventstore work on the scratch as they do on the live database.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def follow(self, events: Iterable[StoredEvent], names: Iterable[str] = tuple(PROJECTIONS)) -> None:
        """Bring the named projections to what follows from more events."""
        wanted = tuple(names)
        for stored in events:
            project(self.connection, (stored,), wanted)


@contextmanager
def open_scratch(database: Path, *, is_writer: bool = False, is_copy: bool = False) -> Iterator[Scratch]:
    """Open a scratch beside a database; with `is_writer` the live tables can be written through it.

    `is_copy`: the file is of the newest schema and nobody writes to it; nothing comes to lie beside it.
    It lies in a private temporary file that SQLite removes, as what is rebuilt may be larger than the memory.
    Raises DatabaseError.
    """
    if not database.is_file():
        raise DatabaseError(f"{database}: there is no such database")
    if not is_copy:
        open_database(database, is_writer=is_writer).close()  # of the newest schema, as the scratch is
    with explained(database):
        connection = sqlite3.connect("", isolation_level=None, uri=True)
        try:
            _tune(connection)
            with _naming_the_folder():
                _make_tables(connection)
            how = "mode=ro&immutable=1" if is_copy else f"mode={'rw' if is_writer else 'ro'}"
            connection.execute("ATTACH ? AS live", (f"{database.absolute().as_uri()}?{how}",))
            yield Scratch(connection)
        finally:
            connection.close()


@contextmanager
def together(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block, which writes to the scratch alone, as one transaction; the caller's where there is one.

    Raises DiskFullError when the scratch finds no more room.
    """
    if connection.in_transaction:
        yield
        return
    with _naming_the_folder():
        connection.execute("BEGIN")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.OperationalError):  # a full disk has rolled back already
                connection.execute("ROLLBACK")
            raise


@contextmanager
def _naming_the_folder() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", None) not in _NO_ROOM:
            raise
        raise DiskFullError(
            "the temporary folder, in which projections are rebuilt, is full: make room, or name another in"
            " SQLITE_TMPDIR; nothing was changed"
        ) from error


def _tune(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute(f"PRAGMA main.cache_size = -{_CACHE_KIB}")
    # What is rolled back is small, and a crash takes all of it anyway.
    connection.execute("PRAGMA main.journal_mode = MEMORY")
    wait_at_most(connection, BUSY_S)


def _make_tables(connection: sqlite3.Connection) -> None:
    migrate(connection, found=0)
    tables = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for (name,) in tables.fetchall():
        if name not in _KEPT:
            connection.execute(f'DROP TABLE main."{name}"')
