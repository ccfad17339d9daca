"""A private place to make projections anew: empty tables beside the live database, which is attached to them."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eventstore.database import explained
from eventstore.errors import DatabaseError
from eventstore.log import StoredEvent
from eventstore.projections import PROJECTIONS, project
from eventstore.schema import migrate

__all__ = ["Scratch", "open_scratch"]

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
            project(self.connection, stored, wanted)


@contextmanager
def open_scratch(database: Path, *, is_writer: bool = False) -> Iterator[Scratch]:
    """Open a scratch beside a database; with `is_writer` the live tables can be written through it.

    It lies in a private temporary file that SQLite removes, as what is rebuilt may be larger than the memory.
    Raises DatabaseError.
    """
    if not database.is_file():
        raise DatabaseError(f"{database}: there is no such database")
    with explained(database):
        connection = sqlite3.connect("", isolation_level=None, uri=True)
        try:
            _make_tables(connection)
            connection.execute(
                "ATTACH ? AS live", (f"{database.absolute().as_uri()}?mode={'rw' if is_writer else 'ro'}",)
            )
            yield Scratch(connection)
        finally:
            connection.close()


def _make_tables(connection: sqlite3.Connection) -> None:
    migrate(connection)
    tables = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for (name,) in tables.fetchall():
        if name not in _KEPT:
            connection.execute(f'DROP TABLE main."{name}"')
