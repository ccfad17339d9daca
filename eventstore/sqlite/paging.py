"""Rows of the log, read in pages: no statement stays open while somebody looks at what it gave."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eventstore.common.connection import Connection

__all__ = ["read_paged"]

# One page is one short read transaction, where the caller has none.
_PAGE_ROWS = 40
# So many events at most are looked through for those of a page.
_RANGE_ROWS = 50_000


def read_paged(
    connection: Connection,
    columns: str,
    conditions: Mapping[str, Sequence[object]],
    *,
    after_position: int = 0,
    up_to_position: int | None = None,
    is_of_one_stream: bool = False,
    is_newest_first: bool = False,
    limit: int | None = None,
    table: str = "events",
) -> Iterator[tuple[Any, ...]]:
    """Read columns of the events for which the conditions hold, in the order of their positions.

    `conditions`: SQL with its arguments. The columns begin with position, stream and version. A page begins behind the
    last row of the one before, so that what is recorded meanwhile neither moves nor repeats anything.
    """
    wanted: dict[str, Sequence[object]] = {"position > ?": [after_position], **conditions}
    if up_to_position is not None:
        wanted["position <= ?"] = [up_to_position]
    log = _Log(connection, columns, table, is_newest_first=is_newest_first)
    left = float("inf") if limit is None or limit < 0 else limit
    # Of one stream versions grow as positions do, and there is an index by which nothing else is looked at.
    ranges = [wanted] if is_of_one_stream or not conditions else log.ranges(wanted, after_position, up_to_position)
    for one in ranges:
        for row in log.pages(one, *(("version", 2) if is_of_one_stream else ("position", 0)), left):
            yield row
            left -= 1
        if left <= 0:
            return


class _Log:
    def __init__(self, connection: Connection, columns: str, table: str, *, is_newest_first: bool) -> None:
        self._connection = connection
        self._columns = columns
        self._table = table
        self._order, self._further = ("DESC", "<") if is_newest_first else ("ASC", ">")

    def pages(
        self, conditions: Mapping[str, Sequence[object]], name: str, index: int, limit: float
    ) -> Iterator[tuple[Any, ...]]:
        """Read at most so many rows in the order of a column, which is the one of that index."""
        wanted = dict(conditions)
        while limit > 0:
            count = int(min(limit, _PAGE_ROWS))
            rows = self._connection.execute(
                f"SELECT {self._columns} FROM {self._table} WHERE {' AND '.join(wanted)}"  # noqa: S608 - our own words
                f" ORDER BY {name} {self._order} LIMIT ?",
                (*(argument for arguments in wanted.values() for argument in arguments), count),
            ).fetchall()
            yield from rows
            if len(rows) < count:
                return
            limit -= count
            wanted[f"{name} {self._further} ?"] = [rows[-1][index]]

    def ranges(
        self, conditions: Mapping[str, Sequence[object]], after: int, up_to: int | None
    ) -> Iterator[Mapping[str, Sequence[object]]]:
        """Cut the positions after one, and up to another, into ranges of so many events, and add each to conditions."""
        is_newest_first = self._order == "DESC"
        begins: int | None = None
        while True:
            ends = self._position_further(begins, after, up_to)
            bounds: dict[str, Sequence[object]] = {}
            if begins is not None:
                bounds["position < ?" if is_newest_first else "position >= ?"] = [begins]
            if ends is not None:
                bounds["position >= ?" if is_newest_first else "position < ?"] = [ends]
            yield {**conditions, **bounds}
            if ends is None:
                return
            begins = ends

    def _position_further(self, begins: int | None, after: int, up_to: int | None) -> int | None:
        """Return the position that so many events further on begins the next range, None = there is none."""
        bounds = "position > ? AND position <= ?"
        arguments: list[object] = [after, 2**63 - 1 if up_to is None else up_to]
        if begins is not None:
            bounds += f" AND position {self._further}= ?"
            arguments.append(begins)
        row = self._connection.execute(
            f"SELECT position FROM {self._table} WHERE {bounds} ORDER BY position {self._order} LIMIT 1 OFFSET ?",  # noqa: S608 - our own words
            (*arguments, _RANGE_ROWS),
        ).fetchone()
        return None if row is None else int(row[0])
