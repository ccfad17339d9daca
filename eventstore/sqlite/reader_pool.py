"""Reading connections, lent to whichever thread needs one."""

import queue
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from eventstore.errors import DatabaseError, ShortageError
from eventstore.sqlite.database import open_database

__all__ = ["Readers"]

# Where no more can be opened a thread waits for one that is lent out: reads take milliseconds.
_COMES_BACK_S = 30.0


class Readers:
    """Connections that only read; each is with one thread at a time, and there are as many as threads ask at once.

    Where no more can be opened for want of files or memory, whoever asks waits for one that comes back. A thread that
    has one does not ask for another.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._is_closed = False
        self._has_opened = False

    @contextmanager
    def borrow(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for the block. Raises DatabaseError when none can be opened, and ShortageError."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._open()
        try:
            yield connection
        finally:
            self._idle.put(connection)
            if self._is_closed:
                self._close_idle()

    def _open(self) -> sqlite3.Connection:
        if not self.path.exists():  # opening it would make an empty one in its place
            raise DatabaseError(f"{self.path}: it was removed, or never was")
        try:
            connection = open_database(self.path, is_writer=False)
        except ShortageError:
            if not self._has_opened:
                raise
            with suppress(queue.Empty):
                return self._idle.get(timeout=_COMES_BACK_S)
            raise
        self._has_opened = True
        return connection

    def close(self) -> None:
        """Close what is not lent out, and each of the others when it comes back."""
        self._is_closed = True
        self._close_idle()

    def _close_idle(self) -> None:
        with suppress(queue.Empty):  # two threads may do it
            while True:
                self._idle.get_nowait().close()
