"""A copy of events.db while it is written to, and putting one back."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from eventstore.common.identifiers import new_id
from eventstore.errors import DamagedFileError, DatabaseError, NewerSchemaError, NotADatabaseError, RejectedError
from eventstore.home.folder import Home
from eventstore.integrity.whole_check import Watch, quietly, require_whole
from eventstore.sqlite.database import explained, open_database
from eventstore.sqlite.high_water_mark import mark_path, reached_by, read_mark, require_kept, write_mark
from eventstore.sqlite.migrations import found_schema

__all__ = ["DRAFT_PREFIX", "back_up", "new_copy", "open_copy", "remove_abandoned", "restore"]

# Names of copies that are not whole yet, wherever they are made.
DRAFT_PREFIX = ".hookfuse-draft-"

# Pages of 4 KB between two looks at the progress; writers go on in between.
_PAGES = 2048


def back_up(home: Home, target: Path, watch: Watch = quietly) -> int:
    """Copy the database, as of one moment, to a new private file that is whole or not there; return its last position.

    The copy holds the secrets too. Raises RejectedError when the target is there already, DamagedFileError when the
    database is not what was written to it, LostCommitsError when it is behind its mark, and DatabaseError.
    """
    with new_copy(home, target) as draft:
        mark = read_mark(home.database)
        with explained(home.database), closing(open_database(home.database, is_writer=False)) as source:
            # Read within one transaction: else each commit of a daemon would have the copy begin again.
            source.execute("BEGIN")
            require_kept(home.database, mark, reached_by(source))
            (pages,) = source.execute("PRAGMA page_count").fetchone()
            with closing(sqlite3.connect(draft)) as copy, watch("copying", pages) as progress:
                # Nothing lies beside a draft, and one that a crash leaves is of no use.
                copy.execute("PRAGMA journal_mode = OFF")
                source.backup(copy, pages=_PAGES, progress=lambda *_: progress.advance(_PAGES))
        _leave_wal_mode(draft)
        return _check(draft, watch)


@contextmanager
def new_copy(home: Home, target: Path) -> Iterator[Path]:
    """Lend an empty private file; once the block has ended it stands at `target`, fsynced, and else nothing does.

    What a copy into the same folder left behind that was killed is removed. Raises RejectedError when the target is
    there already, or is the home's own, and DatabaseError when it cannot be written.
    """
    if os.path.lexists(target):  # unlike Path.exists it takes a name that is too long for none, which open() tells
        raise RejectedError(f"{target} already exists: name another file")
    home.refuse_own(target)
    remove_abandoned(target.parent)
    draft = target.with_name(f"{DRAFT_PREFIX}{new_id()}.{target.name}")
    held = -1
    try:
        # A lock, for as long as somebody is at it: the kernel releases it with the process, however that ends.
        held = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
        yield draft
        _sync(draft)
        draft.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise DatabaseError(f"{target}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):  # no draft could be made there, which was said
            draft.unlink()
        if held >= 0:
            os.close(held)


def remove_abandoned(folder: Path) -> None:
    """Remove drafts of copies in a folder that nobody is at any more, as their process was killed."""
    for path in folder.glob(f"{DRAFT_PREFIX}*"):
        with suppress(OSError):  # another's, or gone meanwhile
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


def restore(home: Home, backup: Path, watch: Watch = quietly) -> tuple[int, Path | None]:
    """Put a copy in the place of the home's database; return its last position, and where the one before is now.

    No daemon may run. The database that was there is kept beside it. Raises RejectedError where the copy is none, or
    is damaged, HomeError, DatabaseError and DaemonRunningError.
    """
    if not os.path.isfile(backup):  # noqa: PTH113 - Path.is_file raises where a name is too long
        raise RejectedError(f"{backup}: there is no such file")
    try:
        _refuse_a_looking_copy(backup)
        _check(backup, watch)
    except (DamagedFileError, NewerSchemaError) as error:
        raise RejectedError(f"{backup}: {error}") from error
    except DatabaseError as error:
        raise RejectedError(f"{backup}: this is not a copy that `hookfuse backup` made, or it is damaged") from error
    home.prepare()
    with home.ownership.held():
        draft = home.database.with_name(f"{DRAFT_PREFIX}{new_id()}")
        try:
            remove_abandoned(home.path)
            _copy(backup, draft)
            position = _check(draft, watch)
            kept = _set_aside(home)
            # From here until the copy's own mark is written the home is refused, as behind: restore it again.
            draft.rename(home.database)
            _sync(home.path)
            with closing(open_database(home.database, is_writer=True)) as connection:
                write_mark(home.database, reached_by(connection))
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
        if path != mark_path(home.database):
            path.rename(folder / path.name)
    return folder


def _check(path: Path, watch: Watch) -> int:
    """Check all of a copy, and return the last position. Raises DatabaseError."""
    with explained(path), closing(open_copy(path)) as connection:
        if not found_schema(connection):
            raise NotADatabaseError(f"{path}: this is not a hookfuse database")
        connection.execute("PRAGMA trusted_schema = OFF")
        return require_whole(connection, watch)


def open_copy(path: Path) -> sqlite3.Connection:
    """Open a copy to read, as nobody writes to it; nothing comes to lie beside it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


def _leave_wal_mode(path: Path) -> None:
    """Mark a file that nobody has open as one without a WAL (sqlite.org/fileformat2.html, bytes 18 and 19)."""
    with path.open("r+b") as file:
        file.seek(18)
        file.write(b"\x01\x01")


def _refuse_a_looking_copy(path: Path) -> None:
    with explained(path), closing(open_copy(path)) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    if {"events", "installations"} <= tables and "secrets" not in tables:
        raise RejectedError(f"{path} was made without secrets: it is for inspection only, and cannot be restored")


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
