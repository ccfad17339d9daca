"""Live tables beside those that were rebuilt: where they differ, and bringing the live ones into step."""

import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from eventstore.projections.catalogue import PROJECTIONS

__all__ = [
    "Difference",
    "Repaired",
    "Table",
    "Value",
    "find_differences",
    "is_live",
    "readable",
    "repair",
    "row_text",
    "tables_of",
]

Value = str | int | float | None
_Row = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a projection: its name, its primary key, and its other columns."""

    name: str
    key: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return all columns, those of the key first."""
        return self.key + self.others


@dataclass(frozen=True, slots=True)
class Difference:
    """A value of a live table that the events do not bear out.

    An empty `field` is the whole row as JSON text, or the whole table; None = it is not there.
    """

    table: str
    key: Mapping[str, Value]
    field: str
    live: Value
    rebuilt: Value


@dataclass(frozen=True, slots=True)
class Repaired:
    """How many rows of a live table were inserted, updated and deleted."""

    table: str
    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    @property
    def rows(self) -> int:
        """Return how many rows there are in all."""
        return self.inserted + self.updated + self.deleted


def tables_of(connection: sqlite3.Connection, names: Collection[str]) -> tuple[Table, ...]:
    """Describe the tables of projections as the scratch has them."""
    described = []
    for projection in (PROJECTIONS[name] for name in PROJECTIONS if name in names):
        for table, key in projection.tables.items():
            rows = connection.execute("SELECT name FROM pragma_table_info(?, 'main')", (table,))
            described.append(Table(table, key, tuple(column for (column,) in rows if column not in key)))
    return tuple(described)


def is_live(connection: sqlite3.Connection, table: Table) -> bool:
    """Return whether a live table is there; somebody may have dropped it."""
    row = connection.execute(
        "SELECT 1 FROM live.sqlite_master WHERE type = 'table' AND name = ?", (table.name,)
    ).fetchone()
    return row is not None


def find_differences(connection: sqlite3.Connection, table: Table) -> Iterator[Difference]:
    """Compare a live table with the scratch's, value by value, within the caller's transaction."""
    if not is_live(connection, table):
        (count,) = connection.execute(f"SELECT count(*) FROM main.{table.name}").fetchone()  # noqa: S608 - a name of a table
        yield Difference(table.name, {}, "", None, f"a table of {count} rows")
        return
    width = len(table.columns)
    wanted = ", ".join(f"{row}.{name}" for row in ("live_row", "rebuilt_row") for name in table.columns)
    for row in connection.execute(_differing(table, wanted)):
        values = tuple(readable(value) for value in row)
        yield from _differences(table, values[:width], values[width:])


def repair(connection: sqlite3.Connection, table: Table) -> Repaired:
    """Bring the rows of a live table that differ into step, and no other, within the caller's transaction."""
    if not is_live(connection, table):
        _create(connection, table)
    is_there = ", ".join(f"{row}.{table.key[0]} IS NOT NULL AS is_{row}" for row in ("live_row", "rebuilt_row"))
    keys = ", ".join(f"coalesce(live_row.{name}, rebuilt_row.{name}) AS {name}" for name in table.key)
    connection.execute(f"CREATE TEMP TABLE differing AS {_differing(table, f'{is_there}, {keys}')}")
    counts = connection.execute(
        "SELECT count(*) FILTER (WHERE NOT is_live_row), count(*) FILTER (WHERE is_live_row AND is_rebuilt_row),"
        " count(*) FILTER (WHERE NOT is_rebuilt_row) FROM temp.differing"
    ).fetchone()
    columns, key = ", ".join(table.columns), ", ".join(table.key)
    is_differing = f"({key}) IN (SELECT {key} FROM temp.differing)"  # noqa: S608 - names of columns
    connection.execute(f"DELETE FROM live.{table.name} WHERE {is_differing}")  # noqa: S608 - as above
    connection.execute(
        f"INSERT INTO live.{table.name} ({columns})"  # noqa: S608 - as above
        f" SELECT {columns} FROM main.{table.name} WHERE {is_differing}"
    )
    connection.execute("DROP TABLE temp.differing")
    return Repaired(table.name, *counts)


def _create(connection: sqlite3.Connection, table: Table) -> None:
    statements = connection.execute(
        "SELECT sql FROM main.sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL ORDER BY type DESC", (table.name,)
    ).fetchall()
    for (statement,) in statements:
        # An index too is named with its database, and its table without.
        connection.execute(re.sub(r"^CREATE (TABLE|INDEX) ", r"CREATE \1 live.", statement))


def _differing(table: Table, wanted: str) -> str:
    """Return a SELECT of the pairs live_row and rebuilt_row that differ, NULL on the side where there is none."""
    is_same_key = " AND ".join(f"live_row.{name} = rebuilt_row.{name}" for name in table.key)
    live, rebuilt = (", ".join(f"{row}.{name}" for name in table.columns) for row in ("live_row", "rebuilt_row"))
    live_table, rebuilt_table = f"live.{table.name} AS live_row", f"main.{table.name} AS rebuilt_row"
    # Both ends of a FULL JOIN, which SQLite has had since 3.39 only.
    return (
        f"SELECT {wanted} FROM {live_table} LEFT JOIN {rebuilt_table} ON {is_same_key}"  # noqa: S608 - as above
        f" WHERE ({live}) IS NOT ({rebuilt})"
        f" UNION ALL SELECT {wanted} FROM {rebuilt_table} LEFT JOIN {live_table} ON {is_same_key}"
        f" WHERE live_row.{table.key[0]} IS NULL"
    )


def _differences(table: Table, live: _Row, rebuilt: _Row) -> Iterator[Difference]:
    width = len(table.key)
    key = dict(zip(table.key, (live if rebuilt[0] is None else rebuilt)[:width], strict=True))
    fields = [
        Difference(table.name, key, *values)
        for values in zip(table.others, live[width:], rebuilt[width:], strict=True)
        if values[1] != values[2]
    ]
    if live[0] is not None and rebuilt[0] is not None:
        yield from fields
        return
    # A day that is not there counts nothing: what was lost of the buffer is said count by count.
    counts = [one for one in fields if one.live or one.rebuilt] if table.name == "buffer" else []
    yield from counts or [
        Difference(table.name, key, "", row_text(table.columns, live), row_text(table.columns, rebuilt))
    ]


def row_text(columns: Sequence[str], row: Sequence[Value]) -> str | None:
    """Return a whole row as a difference shows it, None where its key is not there."""
    if row[0] is None:
        return None
    return msgspec.json.encode(dict(zip(columns, row, strict=True))).decode()


def readable(value: object) -> Value:
    """Return a value of a table that somebody may have written bytes into."""
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    assert value is None or isinstance(value, str | int | float)  # noqa: S101 - SQLite has no other types
    return value
