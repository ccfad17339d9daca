"""New databases in a fraction of the time: what the migrations make of an empty one is made once a process, and copied.

Most tests open a database of their own, and a dozen migrations take longer than what most of them test. Databases of
older schemas, and every command that runs as a process of its own, go by the migrations themselves.
"""

import sqlite3
import threading
from functools import cache

from eventstore.sqlite import migrations

__all__ = ["install", "migrate_for_real"]

migrate_for_real = migrations._apply_migrations
_one_at_a_time = threading.Lock()  # a copy replaces all that is there: nobody else may have begun with it


def install() -> None:
    """Begin every new database of this process as a copy."""
    migrations._apply_migrations = _apply_prepared


def _apply_prepared(
    connection: sqlite3.Connection, wanted: tuple[tuple[str, tuple[str, ...]], ...] = migrations._MIGRATIONS
) -> None:
    with _one_at_a_time:
        is_new = not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        if is_new:
            _migrated(wanted).backup(connection)
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'database_id'").fetchone():
                connection.execute("UPDATE database_id SET id = lower(hex(randomblob(16)))")  # as its migration does
    if not is_new:
        migrate_for_real(connection, wanted)


@cache
def _migrated(wanted: tuple[tuple[str, tuple[str, ...]], ...]) -> sqlite3.Connection:
    """Return an empty database to which these migrations were applied."""
    made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate_for_real(made, wanted)
    return made
