"""Opening events.db, and saying what SQLite means."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventstore.common.connection import Connection
from eventstore.common.file_system import READ_ONLY, is_read_only
from eventstore.common.shortage import raise_shortage
from eventstore.errors import (
    ConflictError,
    DamagedFileError,
    DatabaseError,
    DiskFullError,
    LostCommitsError,
    NotADatabaseError,
)
from eventstore.sqlite.high_water_mark import WAY_OUT, mark_path, reached_by, write_mark
from eventstore.sqlite.migrations import MARKED_SINCE, found_schema, migrate

__all__ = [
    "BUSY_S",
    "WAL_LIMIT_BYTES",
    "explained",
    "open_database",
    "reading",
    "wait_at_most",
    "waiting_at_most",
    "wal_bytes",
    "writing",
]

# Pages of 4 KB after which a commit copies the WAL into the database, which takes 50 ms. With SQLite's own figure, a
# fourth of it, that takes 12 ms, and a producer's batches a tenth more time in all.
_WAL_PAGES = 4000
# What a WAL is cut to once all of it is in the database: twice as much as it takes while nobody reads for long. By
# SQLite's own default it stays as large as it has ever been.
WAL_LIMIT_BYTES = 2 * _WAL_PAGES * 4096
# With a long history a commit touches a page for each installation in each index; SQLite's own 2 MB do not hold those.
_WRITER_CACHE_KIB = 8000

# How long a writer waits for another process's commit, all in all.
BUSY_S = 30.0

# After a failed fsync nobody can say what has reached the disk.
_UNKNOWN = (DiskFullError, "the disk fails: what was being written may or may not have been: look before you try again")
# Result codes, the more exact ones first: https://www.sqlite.org/rescode.html
_MEANINGS: dict[str, tuple[type[DatabaseError], str]] = {
    "SQLITE_FULL": (DiskFullError, "the disk is full: make room and try again; nothing was changed"),
    "SQLITE_IOERR_FSYNC": _UNKNOWN,
    "SQLITE_IOERR_DIR_FSYNC": _UNKNOWN,
    "SQLITE_IOERR_SHORT_READ": (
        DamagedFileError,
        "the file, or its -wal, ends before it should: restore the newest backup (hookfuse restore FILE)",
    ),
    "SQLITE_IOERR": (DiskFullError, "the disk cannot be written (full, or failing); nothing was changed"),
    "SQLITE_NOTADB": (
        NotADatabaseError,
        "this file is not a SQLite database: move it away, or name another home",
    ),
    "SQLITE_CORRUPT": (
        DamagedFileError,
        "the database file is damaged: hookfuse reindex repairs it where only an index is, else restore a backup",
    ),
    "SQLITE_READONLY": (
        DatabaseError,
        "the database cannot be written: check the file's owner and permissions",
    ),
    "SQLITE_CANTOPEN": (DatabaseError, "the database cannot be opened: check the folder's permissions"),
    "SQLITE_BUSY": (DatabaseError, "another process has been writing for too long: try again"),
}


# What SQLite says when it could not open one of its files, whatever the reason.
_MAY_BE_SHORT = ("SQLITE_CANTOPEN", "SQLITE_IOERR")
_MAY_BE_READ_ONLY = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR")
_FILES_OPENED = 3  # by a connection: the database, its WAL, and the index of that


@contextmanager
def explained(path: Path | str = "events.db") -> Iterator[None]:
    """Turn SQLite's errors within the block into the store's, which say what to do."""
    try:
        yield
    except (sqlite3.Error, MemoryError) as error:
        name = getattr(error, "sqlite_errorname", None) or ""
        raise_shortage(_lacking_files() if name.startswith(_MAY_BE_SHORT) else error, f"{path}: not opened")
        if name.startswith(_MAY_BE_READ_ONLY) and is_read_only(Path(path)):
            raise DatabaseError(f"{path}: {READ_ONLY} ({name})") from error
        if name == "SQLITE_NOTADB" and mark_path(Path(path)).exists():
            raise NotADatabaseError(f"{path}: is not a SQLite database any more: {WAY_OUT} ({name})") from error
        for code, (error_class, meaning) in _MEANINGS.items():
            if name.startswith(code):
                raise error_class(f"{path}: {meaning} ({name})") from error
        if name.startswith("SQLITE_CONSTRAINT"):
            raise ConflictError(f"{path}: {error}") from error
        raise DatabaseError(f"{path}: {error}") from error


def open_database(path: Path, *, is_writer: bool) -> sqlite3.Connection:
    """Open events.db, made and migrated where needed; commits are fsynced before they return.

    The connection may be used by one thread at a time. Raises LostCommitsError when the file is missing or empty where
    there was a database, and DatabaseError.
    """
    _refuse_loss(path)
    _make_private(path)
    with explained(path):
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            deadline_s = time.monotonic() + BUSY_S
            _enter_wal_mode(connection, deadline_s)
            found = found_schema(connection)  # what is not ours is told before its schema is refused
            # What a foreign trigger or view calls has no effects (sqlite.org/pragma.html#pragma_trusted_schema).
            connection.execute("PRAGMA trusted_schema = OFF")
            # FULL, not NORMAL: in WAL mode NORMAL does not fsync a commit (sqlite.org/pragma.html).
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}")
            if is_writer:
                connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
            wait_at_most(connection, deadline_s - time.monotonic())
            migrate(connection, found)
            if found < MARKED_SINCE:
                write_mark(path, reached_by(connection))
            wait_at_most(connection, BUSY_S)
            if not is_writer:
                connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def wal_bytes(path: Path) -> int:
    """Return how large the WAL beside a database is, 0 = there is none."""
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size
    except OSError:
        return 0


@contextmanager
def reading(connection: Connection) -> Iterator[None]:
    """Read all within the block as of one moment, that of the transaction where there is one already."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.rollback()


@contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block as one transaction that holds the write lock from its first statement.

    A deferred BEGIN that reads and then writes can fail at once with "database is locked"; this one waits.
    """
    with explained():
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # a full disk has rolled back already
                connection.execute("ROLLBACK")
            raise


@contextmanager
def waiting_at_most(connection: sqlite3.Connection, wait_s: float) -> Iterator[None]:
    """Limit how long statements within the block wait for another process's lock, instead of BUSY_S."""
    wait_at_most(connection, wait_s)
    try:
        yield
    finally:
        wait_at_most(connection, BUSY_S)


def wait_at_most(connection: sqlite3.Connection, wait_s: float) -> None:
    """Limit how long statements from now on wait for another process's lock."""
    connection.execute(f"PRAGMA busy_timeout = {max(1, int(wait_s * 1000))}")


def _enter_wal_mode(connection: sqlite3.Connection, deadline_s: float) -> None:
    # SQLite does not ask its busy handler when several connections change the mode of a new file at once.
    while True:
        wait_at_most(connection, deadline_s - time.monotonic())
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(0.005)
        else:
            return


def _lacking_files() -> OSError:
    """Return the error of opening as many files as a connection does; one without a number where that goes well."""
    opened: list[int] = []
    try:
        for _ in range(_FILES_OPENED):
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))  # noqa: PERF401 - what was opened is closed
    except OSError as error:
        return error
    finally:
        for descriptor in opened:
            os.close(descriptor)
    return OSError()


def _refuse_loss(path: Path) -> None:
    """Raise where there was a database: beside it lies what only one that was used leaves."""
    # First the traces, then the size: another process may be making both at this moment.
    traces = (mark_path(path), path.with_name(f"{path.name}-wal"), path.parent / "logs" / "hookfuse.jsonl")
    trace = next((one for one in traces if _size_bytes(one)), None)
    if trace is not None and (path.is_dir() or not _size_bytes(path)):
        fault = ("is a folder" if path.is_dir() else "is empty") if path.exists() else "is missing"
        raise LostCommitsError(f"{path} {fault}, and there was a database here, as {trace.name} shows: {WAY_OUT}")


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _make_private(path: Path) -> None:
    # SQLite gives the WAL and its index the mode of the database, and takes no mode for the database itself.
    # Only a file that is not there yet may be opened here: closing a descriptor of a database drops the locks
    # of all the process's connections to it, and another process then deletes the WAL that they write to
    # (sqlite.org/howtocorrupt.html section 2.2).
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise_shortage(error, f"{path}: not opened")
        raise DatabaseError(f"{path}: cannot be opened ({error.strerror})") from error
