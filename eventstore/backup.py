"""A copy of events.db while it is written to, and putting one back."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from eventstore.database import explained, open_database
from eventstore.errors import DatabaseError, NewerSchemaError, NotADatabaseError, RejectedError
from eventstore.home import Home
from eventstore.identifiers import new_id
from eventstore.log import last_position
from eventstore.schema import found_schema

__all__ = ["back_up", "new_copy", "restore"]

# Pages of 4 KB between two looks at the progress; writers go on in between.
_PAGES = 2048


def back_up(home: Home, target: Path, on_pages: Callable[[int, int], None]) -> int:
    """Copy the database, as of one moment, to a new private file that is whole or not there; give its last position.

    `on_pages` is told how many pages are left, and of how many. The copy holds the secrets too. Raises RejectedError
    when the target is there already, and DatabaseError.
    """
    with new_copy(target) as draft:
        with explained(draft), closing(open_database(home.database, is_writer=False)) as source:
            # Read within one transaction: else each commit of a daemon would have the copy begin anew.
            source.execute("BEGIN")
            source.execute("SELECT 1 FROM events LIMIT 1").fetchone()
            with closing(sqlite3.connect(draft)) as copy:
                source.backup(copy, pages=_PAGES, progress=lambda _status, left, total: on_pages(left, total))
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a WAL beside it
        return _check(draft)


@contextmanager
def new_copy(target: Path) -> Iterator[Path]:
    """Lend an empty private file; once the block has ended it stands at `target`, fsynced, and else nothing does.

    Raises RejectedError when the target is there already, and DatabaseError when it cannot be written.
    """
    if target.exists():
        raise RejectedError(f"{target} is there already: name a file that is not")
    draft = target.with_name(f".{target.name}.{new_id()}")
    try:
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield draft
        _sync(draft)
        draft.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise DatabaseError(f"{target}: cannot be written ({error.strerror})") from error
    finally:
        draft.unlink(missing_ok=True)


def restore(home: Home, backup: Path) -> tuple[int, Path | None]:
    """Put a copy in the place of the home's database; give its last position, and where the one before is now.

    No daemon may run. The database that was there is kept beside it. Raises RejectedError where the copy is none,
    HomeError, DatabaseError and DaemonRunningError.
    """
    if not backup.is_file():
        raise RejectedError(f"{backup}: there is no such file")
    try:
        _refuse_a_looking_copy(backup)
        _check(backup)
    except NewerSchemaError as error:
        raise RejectedError(f"{backup}: {error}") from error
    except DatabaseError as error:
        raise RejectedError(f"{backup}: this is no copy that `hookfuse backup` made, or it is damaged") from error
    home.prepare()
    with home.held_by_daemon():
        draft = home.database.with_name(f".restored.{new_id()}")
        try:
            _copy(backup, draft)
            position = _check(draft)
            kept = _set_aside(home)
            draft.rename(home.database)
            _sync(home.path)
        except OSError as error:
            raise DatabaseError(f"{home.database}: cannot be restored ({error.strerror})") from error
        finally:
            draft.unlink(missing_ok=True)
    return position, kept


def _set_aside(home: Home) -> Path | None:
    """Move the database away, with the WAL that belongs to it and must not meet another one."""
    if not home.database.exists():
        return None
    folder = home.path / f"before-restore-{new_id()}"
    folder.mkdir(mode=0o700)
    for path in (home.database, *home.path.glob("events.db-*")):
        path.rename(folder / path.name)
    return folder


def _check(path: Path) -> int:
    """Have SQLite look at every page, and give the last position. Raises DatabaseError."""
    with explained(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise DatabaseError(f"{path}: the copy is damaged: {found}")
        if not found_schema(connection):
            raise NotADatabaseError(f"{path}: this is no database of hookfuse")
        return last_position(connection)


def _refuse_a_looking_copy(path: Path) -> None:
    with explained(path), closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if {"events", "installations"} <= tables and "secrets" not in tables:
        raise RejectedError(f"{path} was made without secrets: it is for looking into, and cannot be restored")


def _copy(source: Path, target: Path) -> None:
    with (
        source.open("rb") as reader,
        open(target, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as writer,
    ):
        while piece := reader.read(1 << 20):
            writer.write(piece)
        writer.flush()
        os.fsync(writer.fileno())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system that can't sync a folder
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
