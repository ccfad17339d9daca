"""How far a database had come: a small file beside it, by which commits that are gone are noticed.

SQLite takes a WAL that was damaged or removed, and an older copy of the database, for what they are not: all there is.
Each committer writes down what it has committed, here, after the commit and before it gives up the writer lock. Nothing
is fsynced: after a power cut the mark may be behind the database, and never ahead of it.
"""

import errno
import os
import sqlite3
import stat
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from zlib import crc32

from eventstore.common.lazy_log import LazyLog
from eventstore.common.plural import grouped
from eventstore.errors import DatabaseError, LostCommitsError

__all__ = [
    "WAY_OUT",
    "HighWaterMark",
    "Mark",
    "mark_path",
    "reached_by",
    "read_mark",
    "require_kept",
    "write_mark",
]

_log = LazyLog("hookfuse.database")

_LINE_BYTES = 91
# One that is read while it is written may be half old and half new.
_LOOKS = 3
_REACHED = (
    "SELECT (SELECT coalesce(max(position), 0) FROM events),"
    " coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'queue'), 0)"
)
WAY_OUT = "restore the newest backup (hookfuse restore FILE), or go on without what is lost: hookfuse accept-loss"


_AWAY = "move it away, and the next start creates it again"


@dataclass(frozen=True, slots=True)
class Mark:
    """What was committed to a database: the newest event, and the newest delivery that was ever queued."""

    database_id: str
    position: int
    sequence: int

    def to_bytes(self) -> bytes:
        """Return the line that stands in the file: always of one length, so that it is written in its own place."""
        text = f"hookfuse {self.database_id} {self.position:019d} {self.sequence:019d} ".encode()
        return text + b"%08x\n" % crc32(text)

    @classmethod
    def from_bytes(cls, line: bytes) -> Self | None:
        """Read a line, None = it is torn, or something else."""
        parts = line.split(b" ")
        is_whole = len(line) == _LINE_BYTES and len(parts) == 5 and parts[4] == b"%08x\n" % crc32(line[:-9])
        return cls(parts[1].decode(), int(parts[2]), int(parts[3])) if is_whole else None


def mark_path(database: Path) -> Path:
    """Return the file beside a database."""
    return database.with_name(f"{database.name}-mark")


def read_mark(database: Path) -> Mark | None:
    """Read the mark beside a database, None = it is absent or torn. Raises DatabaseError where it is another thing."""
    for _ in range(_LOOKS):
        try:
            descriptor = _open(mark_path(database), os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            mark = Mark.from_bytes(os.read(descriptor, _LINE_BYTES + 1))
        finally:
            os.close(descriptor)
        if mark is not None:
            return mark
    return None


def write_mark(database: Path, mark: Mark) -> None:
    """Put a mark in the place of what was there, fsynced. Raises DatabaseError."""
    path = mark_path(database)
    try:
        descriptor = _open(path, os.O_WRONLY | os.O_CREAT)
        try:
            os.pwrite(descriptor, mark.to_bytes(), 0)
            os.ftruncate(descriptor, _LINE_BYTES)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise DatabaseError(f"{path}: cannot be written ({error.strerror})") from error


def _open(path: Path, flags: int) -> int:
    """Open the mark. Raises FileNotFoundError, and DatabaseError where it is a link, a pipe, or may not be opened.

    A link would have us write to a file of somebody else's, and a pipe would have us wait for its other end.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = "is a link" if error.errno == errno.ELOOP else f"cannot be opened ({error.strerror})"
        raise DatabaseError(f"{path} {reason}: {_AWAY}") from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise DatabaseError(f"{path} is not a regular file: {_AWAY}")


def reached_by(connection: sqlite3.Connection) -> Mark:
    """Return how far a database has come."""
    (database_id,) = connection.execute("SELECT id FROM database_id").fetchone()
    return Mark(database_id, *connection.execute(_REACHED).fetchone())


def require_kept(database: Path, mark: Mark | None, reached: Mark) -> None:
    """Raise LostCommitsError when a database is not, or not all of, what the mark beside it stands for.

    The mark must have been read before the database was: it may be behind, and never ahead.
    """
    if mark is None:
        return
    if mark.database_id != reached.database_id:
        raise LostCommitsError(
            f"{database}: this is not the database that was here, and was not put here by `hookfuse restore`: {WAY_OUT}"
        )
    events, deliveries = mark.position - reached.position, mark.sequence - reached.sequence
    if events <= 0 and deliveries <= 0:
        return
    raise LostCommitsError(
        f"{database} lacks {' and '.join(_lost(events, deliveries))} that it had: an older copy stands in its place, or"
        f" its -wal was damaged or removed: {WAY_OUT}"
    )


def _lost(events: int, deliveries: int) -> list[str]:
    counts = ((events, "event", "events"), (deliveries, "delivery", "deliveries"))
    return [grouped(*each) for each in counts if each[0] > 0]


class HighWaterMark:
    """A committer's hold on the mark: it compares what others have written, and moves it with each commit."""

    def __init__(self, database: Path, connection: sqlite3.Connection) -> None:
        """Raise LostCommitsError when the database is behind its mark. Where there is none, it is made."""
        self._database = database
        self._path = str(mark_path(database))
        self._connection = connection
        mark = read_mark(database)  # before the database is
        reached = reached_by(connection)
        require_kept(database, mark, reached)
        if mark is None:
            _log.warning(
                "mark_missing",
                path=str(mark_path(database)),
                done=f"created again at event {reached.position}; whether commits were lost before is not known",
            )
            write_mark(database, reached)
        self._reached = reached
        self._line = reached.to_bytes()
        self._is_unwritten = False
        self._descriptor = self._opened()
        self._close = weakref.finalize(self, os.close, self._descriptor)
        self._inode = os.fstat(self._descriptor).st_ino

    def require_kept(self) -> None:
        """Compare, within a write transaction, what others have committed with what is there now.

        Raises LostCommitsError: somebody commits to other files than these.
        """
        line = self._read()
        if line == self._line:
            return
        mark, reached = Mark.from_bytes(line), reached_by(self._connection)
        if mark is None:  # who moves it has the writer lock, as we have now: nobody is at it
            if not self._is_unwritten:
                _log.warning(
                    "mark_torn",
                    path=str(mark_path(self._database)),
                    done=f"created again at event {reached.position}; whether commits were lost before is not known",
                )
            self._write(reached)
            return
        require_kept(self._database, mark, reached)
        self._line, self._reached = line, reached

    def reached(self, position: int) -> Mark:
        """Return how far a transaction goes that is about to end. `position`: of its last event, 0 = it has none."""
        row = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'queue'").fetchone()
        before = self._reached
        return Mark(before.database_id, position or before.position, row[0] if row else 0)

    def move(self, reached: Mark) -> None:
        """Write down what was committed, while the writer lock is held."""
        if reached != self._reached:
            self._write(reached)

    def _write(self, reached: Mark) -> None:
        """Write a mark over the one that is there.

        It comes after the commit, which stands whether this can be done or not: a mark that stays behind is allowed.
        """
        line = reached.to_bytes()
        self._line, self._reached = line, reached
        try:
            os.pwrite(self._descriptor, line, 0)
        except OSError as error:
            if not self._is_unwritten:
                _log.warning(
                    "mark_unwritten",
                    path=str(mark_path(self._database)),
                    error=error.strerror,
                    done="goes on; commits that are lost from now on may not be noticed",
                )
            self._is_unwritten = True
        else:
            self._is_unwritten = False

    def _read(self) -> bytes:
        """Return what stands in the file that has the mark's name now, b"" = nothing that can be read."""
        try:
            if _inode(self._path) != self._inode:
                self._reopen()
            return os.pread(self._descriptor, _LINE_BYTES, 0)
        except OSError:
            return b""

    def _reopen(self) -> None:
        """Take the file that has the mark's name now: what is written to one without a name is read by nobody.

        Where there is no folder for it any more, the database has gone with it, and that is said after the commit.
        """
        opened = self._opened()
        self._close()
        self._descriptor, self._inode = opened, os.fstat(opened).st_ino
        self._close = weakref.finalize(self, os.close, opened)

    def _opened(self) -> int:
        return _open(mark_path(self._database), os.O_RDWR | os.O_CREAT)

    def close(self) -> None:
        """Close the file; a mark that nobody closes is closed with its connection, when it is collected."""
        self._close()


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - with each commit, and a Path takes twice as long
    except FileNotFoundError:
        return 0
