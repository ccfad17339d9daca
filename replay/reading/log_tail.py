"""The end of the log: what the live tables say of events that should be there and are not."""

import sqlite3

from eventstore.log.event_log import last_position

__all__ = ["find_cut_tail"]

# Where live tables name positions. A log that lost its end is whole by its own chain: only others can tell.
_NAMED = (
    ("request_log", "position"),
    ("audit", "position"),
    ("installations", "disabled_position"),
    ("buffer", "last_failure"),
    ("outbox", "about_position"),
)


def find_cut_tail(connection: sqlite3.Connection) -> str | None:
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
