"""Live tables compared with what follows from the events, as of one moment."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from eventstore.log.event_log import last_position
from eventstore.sqlite.database import explained
from replay.check.comparison import Difference, find_differences, tables_of
from replay.check.kept_deliveries import count_waiting, count_without_payload, find_strays, kept_differences
from replay.projecting.remake import ALL_NAMES, LEDGER, Advance, Remake
from replay.projecting.scratch import open_scratch, together

__all__ = ["Comparison", "compare", "verify"]

# Where live tables name positions. A log that lost its end is whole by its own chain: only others can tell.
_NAMED = (
    ("request_log", "position"),
    ("audit", "position"),
    ("installations", "disabled_position"),
    ("buffer", "last_failure"),
    ("outbox", "about_position"),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a comparison found. `differences` are the first ones, `counts` how many there are in each table.

    `truncation`: what a live table says of events behind the log's end, None = nothing. Of the queue: `waiting`, not
    compared, and `without_payload`, kept without one although no event says that it was dropped; None = not asked.
    """

    up_to_position: int
    tables: tuple[str, ...]
    differences: tuple[Difference, ...]
    counts: dict[str, int]
    truncation: str | None
    waiting: int | None = None
    without_payload: int | None = None

    @property
    def count(self) -> int:
        """Return how many differences there are."""
        return sum(self.counts.values())


def verify(
    database: Path,
    names: Collection[str] = ALL_NAMES,
    *,
    limit: int = 1000,
    advance: Advance = lambda _count: None,
    is_copy: bool = False,
) -> Comparison:
    """Rebuild projections in a scratch and compare; at most `limit` differences are kept, all are counted.

    `is_copy`: as for open_scratch.

    Raises DamagedLogError, which names it, at an event that is missing or cannot be read; DatabaseError.
    """
    with open_scratch(database, is_copy=is_copy) as scratch, explained(database):
        remake = Remake(scratch, names)
        remake.catch_up(advance)
        with together(scratch.connection):
            remake.catch_up(advance)  # what came meanwhile: from here on all is of one moment
            remake.finish()
            return compare(remake, names, limit=limit)


def compare(remake: Remake, names: Collection[str], *, limit: int) -> Comparison:
    """Compare what was rebuilt with the live tables, within the caller's transaction."""
    connection = remake.connection
    kept: list[Difference] = []
    counts: Counter[str] = Counter()
    with _reading_anything(connection):
        for difference in _differences(connection, names):
            counts[difference.table] += 1
            if len(kept) < limit:
                kept.append(difference)
    is_queue_asked = LEDGER in names
    return Comparison(
        up_to_position=remake.position,
        tables=tuple(table.name for table in tables_of(connection, names)),
        differences=tuple(kept),
        counts=dict(counts),
        truncation=find_truncation(connection),
        waiting=count_waiting(connection) if is_queue_asked else None,
        without_payload=count_without_payload(connection) if is_queue_asked else None,
    )


def _differences(connection: sqlite3.Connection, names: Collection[str]) -> Iterator[Difference]:
    for table in tables_of(connection, names):
        yield from find_differences(connection, table)
    if LEDGER in names:
        find_strays(connection)
        yield from kept_differences(connection)


@contextmanager
def _reading_anything(connection: sqlite3.Connection) -> Iterator[None]:
    """Read as text what somebody has written into a live table, text or not, so that it can be shown."""
    connection.text_factory = lambda stored: stored.decode(errors="backslashreplace")
    try:
        yield
    finally:
        connection.text_factory = str


def find_truncation(connection: sqlite3.Connection) -> str | None:
    """Return which live table names an event behind the log's last, None = none does."""
    last = last_position(connection)
    tables = {name for (name,) in connection.execute("SELECT name FROM live.sqlite_master WHERE type = 'table'")}
    for table, column in _NAMED:
        if table not in tables:
            continue
        (highest,) = connection.execute(f"SELECT max({column}) FROM live.{table}").fetchone()  # noqa: S608 - as above
        if isinstance(highest, int) and highest > last:
            return (
                f"the log ends at event {last}, and {table} names event {highest}: its end was cut off,"
                " or that row was made up"
            )
    return None
