"""Rebuilding indexes: what is damaged in them stands in their tables too."""

import sqlite3
from contextlib import closing

from eventstore.errors import DamagedFileError
from eventstore.home.folder import Home
from eventstore.integrity.whole_check import Watch, quietly, require_whole
from eventstore.sqlite.database import explained, open_database

__all__ = ["reindex"]


def reindex(home: Home, watch: Watch = quietly) -> int:
    """Rebuild all indexes, check all of the database, and return its last position. No daemon may run.

    Raises DamagedFileError when that repairs not all of it; nothing is changed where an index cannot be replaced.
    """
    with home.ownership.held(), closing(open_database(home.database, is_writer=True)) as connection:
        with explained(home.database), watch("rebuilding the indexes", None):
            try:
                connection.execute("REINDEX")
            except sqlite3.DatabaseError as error:
                raise DamagedFileError(
                    f"{home.database}: it cannot be repaired by reindex ({error}): restore a backup"
                ) from error
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        try:
            return require_whole(connection, watch)
        except DamagedFileError as error:
            text = str(error).partition(": stop the daemon")[0]
            raise DamagedFileError(f"{text}: reindex did not fix it: restore a backup") from error
