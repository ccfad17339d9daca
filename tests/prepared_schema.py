"""New databases in a fraction of the time: what the migrations make of an empty one is found out once a process.

Most tests open a database of their own, and a dozen migrations take longer than what most of them test. Older schemas,
and every command that runs as a process of its own, go by the migrations themselves.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache

from eventstore.sqlite import migrations

__all__ = ["install", "migrate_for_real"]

migrate_for_real = migrations._apply_migrations
_RANDOM = {"database_id": "lower(hex(randomblob(16)))"}  # never twice the same


def install() -> None:
    """Have every database of this process that is new made by what the migrations make of one."""
    migrations._apply_migrations = _apply_prepared


def _apply_prepared(
    connection: sqlite3.Connection, wanted: tuple[tuple[str, tuple[str, ...]], ...] = migrations._MIGRATIONS
) -> None:
    statements = _statements(wanted)
    with migrations._together(connection):
        is_new = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        for statement in statements if is_new else ():
            connection.execute(statement)
    if not is_new:
        migrate_for_real(connection, wanted)


@cache
def _statements(wanted: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[str, ...]:
    """Return what makes the same of an empty database as these migrations do."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as made:
        migrate_for_real(made, wanted)
        pragmas = [f"PRAGMA {name} = {_only(made, f'PRAGMA {name}')}" for name in ("application_id", "user_version")]
        return (*_schema(made), *_rows(made), *pragmas)


def _schema(made: sqlite3.Connection) -> Iterator[str]:
    own = "name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"  # SQLite makes its own ones itself
    for (statement,) in made.execute(f"SELECT sql FROM sqlite_master WHERE {own} ORDER BY rowid"):
        yield statement


def _rows(made: sqlite3.Connection) -> Iterator[str]:
    for (table,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = [name for _, name, *_ in made.execute(f"PRAGMA table_info({table})")]
        values = " || ', ' || ".join(f"quote({name})" for name in columns)
        for (row,) in made.execute(f"SELECT {values} FROM {table}"):
            yield f"INSERT INTO {table} VALUES ({_RANDOM.get(table, row)})"


def _only(made: sqlite3.Connection, statement: str) -> int:
    (value,) = made.execute(statement).fetchone()
    return int(value)
