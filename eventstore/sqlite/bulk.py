"""Statements over many rows at once.

Python releases its interpreter at each step of SQLite, and has to fight for it afterwards: a statement with fifty
rows in it is one step, fifty statements are fifty.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain

import msgspec

from eventstore.common.connection import Connection

__all__ = ["insert_rows", "json_list", "upsert"]

# With 12 columns still fewer than the 999 parameters that every SQLite takes.
_MOST_ROWS = 64

_encode = msgspec.json.Encoder().encode


def upsert(table: str, key: str, columns: Sequence[str]) -> str:
    """Return the statement that writes a row over the one of its key; its parameters are in the columns' order."""
    others = ", ".join(f"{name} = excluded.{name}" for name in columns if name != key)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - names
        f" ON CONFLICT ({key}) DO UPDATE SET {others}"
    )


def insert_rows(connection: Connection, into: str, rows: Sequence[Sequence[object]], then: str = "") -> None:
    """Insert rows in their order; `into` is the statement up to its VALUES, `then` what follows them."""
    start = 0
    while start < len(rows):
        # Powers of two: a few statements that the connection keeps prepared do for every number of rows.
        count = min(_MOST_ROWS, 1 << (len(rows) - start).bit_length() - 1)
        statement = _statement(into, len(rows[start]), count, then)
        connection.execute(statement, tuple(chain.from_iterable(rows[start : start + count])))
        start += count


@cache
def _statement(into: str, columns: int, rows: int, then: str) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"{into} VALUES {', '.join([row] * rows)} {then}"


def json_list(values: Iterable[str | int]) -> str:
    """Return values as SQLite's json_each takes them: any number of them as one parameter."""
    return _encode(list(values)).decode()
