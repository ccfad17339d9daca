"""Whether what was committed is still there, asked again and again while a daemon runs."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from eventstore.errors import DamagedFileError, DatabaseError, LostCommitsError, NotADatabaseError, ShortageError
from eventstore.sqlite.database import WAL_LIMIT_BYTES, explained, open_database
from eventstore.sqlite.high_water_mark import reached_by, read_mark, require_kept
from eventstore.sqlite.opened_files import OpenedFiles, WalWatch, loss_text

__all__ = ["LossWatch"]

_COMPARE_S = 60.0


class LossWatch:
    """Looks at the names of the database's files each time, and at what is in them once a minute.

    A WAL that was cut off is seen at each look, and an empty one has the look at what is in them at once.

    A file that is written over in its own place keeps its inode, and connections that are open go on with the pages
    that they have read: only one that is opened again sees what is there now.
    """

    def __init__(self, database: Path, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._files = OpenedFiles(database)
        self._wal = WalWatch(database, WAL_LIMIT_BYTES)
        self._clock_s = clock_s
        self._due_s = clock_s() + _COMPARE_S
        self._lost = ""

    def lost(self) -> str:
        """Return what is to be said of lost commits, or of a file that cannot be read any more, "" = all is there."""
        if path := self._files.lost():
            return loss_text(path)
        was_empty = self._wal.is_empty()
        if not self._lost and self._wal.is_cut_off():
            self._lost = f"{self._database}-wal was cut off while it was in use, and the newest commits with it"
        is_emptied = self._wal.is_empty() and not was_empty
        if not self._lost and (is_emptied or self._clock_s() >= self._due_s):
            self._due_s = self._clock_s() + _COMPARE_S
            self._lost = self._compared()
        return self._lost

    def _compared(self) -> str:
        try:
            mark = read_mark(self._database)  # before the database is
            with closing(open_database(self._database, is_writer=False)) as connection, explained(self._database):
                require_kept(self._database, mark, reached_by(connection))
        except (LostCommitsError, DamagedFileError, NotADatabaseError) as error:
            return str(error)
        except (DatabaseError, ShortageError):  # busy, or not to be read for the moment: who works with it says so
            return ""
        return ""
