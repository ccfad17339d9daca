"""Reading connections, lent to whichever thread needs one."""

import queue
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventstore.database import open_database

__all__ = ["Readers"]


class Readers:
    """Connections that only read; each is with one thread at a time, and there are as many as threads ask at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()

    @contextmanager
    def borrow(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection for the block. Raises DatabaseError when none can be opened."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = open_database(self._path, is_writer=False)
        try:
            yield connection
        finally:
            self._idle.put(connection)

    def close(self) -> None:
        """Close what is not lent out."""
        while not self._idle.empty():
            self._idle.get_nowait().close()
