import os
import resource
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from eventstore.errors import (
    ConflictError,
    DatabaseError,
    DiskFullError,
    NewerSchemaError,
    NotADatabaseError,
    ShortageError,
)
from eventstore.events.catalogue import MailSent
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent, last_position
from eventstore.sqlite.database import explained, open_database, writing
from eventstore.sqlite.migrations import SCHEMA_VERSION
from eventstore.unit_of_work import Store
from tests.eventstore.facts import failed, record, rows_of
from tests.eventstore.processes import at_once, opening, reading_and_leaving

PROJECTIONS = ("buffer", "request_log", "audit", "outbox", "installations")


def counts(store: Store) -> list[int]:
    return [
        store.connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("events", *PROJECTIONS)
    ]


@contextmanager
def full_disk(store: Store) -> Iterator[None]:
    """Refuse every further page: https://www.sqlite.org/pragma.html#pragma_max_page_count."""
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    yield
    store.connection.execute("PRAGMA max_page_count = 1000000")


@contextmanager
def limited_files(size_bytes: int) -> Iterator[None]:
    """Limit the size of this process's files: the write of a commit then fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_database_is_readable_by_its_owner_only(store: Store, home: Home) -> None:
    record(store, failed())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.path.glob("events.db*")}

    names = ("events.db", "events.db-wal", "events.db-shm", "events.db-turn", "events.db-mark")
    assert modes == dict.fromkeys(names, 0o600)


def test_commits_are_fsynced(store: Store) -> None:
    assert store.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_reader_cannot_write(store: Store, home: Home) -> None:
    reader = open_database(home.database, is_writer=False)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("UPDATE attention SET version = 9")

    reader.close()


def test_file_of_something_else_is_refused_and_kept(home: Home) -> None:
    home.database.write_bytes(b"a diary, and no database at all\n" * 50)
    before = home.database.read_bytes()
    with pytest.raises(NotADatabaseError, match=r"events\.db: this file is not a SQLite database"):
        open_database(home.database, is_writer=True)

    assert home.database.read_bytes() == before


def test_damaged_file_is_explained(store: Store, home: Home) -> None:
    record(store, *[failed(detail="x" * 500)] * 100)
    store.close()
    data = bytearray(home.database.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    home.database.write_bytes(data)

    with pytest.raises(DatabaseError, match="restore a backup"), Store(home.database) as damaged:
        record(damaged, failed())


def test_file_of_a_newer_hookfuse_is_refused(store: Store, home: Home) -> None:
    store.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")

    with pytest.raises(NewerSchemaError, match="install a newer one"):
        open_database(home.database, is_writer=True)


def test_folder_that_is_not_there_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="No such file or directory"):
        open_database(tmp_path / "nowhere" / "events.db", is_writer=True)


def test_folder_in_the_place_of_the_database_is_explained(home: Home) -> None:
    home.database.mkdir()

    with pytest.raises(DatabaseError, match="cannot be opened"):
        open_database(home.database, is_writer=True)


def test_full_disk_is_named_and_leaves_nothing_half_done(store: Store) -> None:
    record(store, failed())
    before = counts(store)
    with full_disk(store), pytest.raises(DiskFullError, match="make room"):
        record(store, *[failed(detail="x" * 1000)] * 50)

    assert counts(store) == before
    assert not store.connection.in_transaction


def test_work_goes_on_when_there_is_room_again(store: Store) -> None:
    with full_disk(store), pytest.raises(DiskFullError):
        record(store, *[failed(detail="x" * 1000)] * 50)
    stored = record(store, failed())

    assert [one.position for one in stored] == [1]


def test_commit_that_cannot_be_written_leaves_nothing_half_done(store: Store, home: Home) -> None:
    size_bytes = (home.path / "events.db-wal").stat().st_size
    with limited_files(size_bytes + 100), pytest.raises(DiskFullError):
        record(store, *[failed(detail="x" * 1000)] * 20)

    assert counts(store) == [0] * 6
    record(store, failed())
    assert rows_of(home.database, "SELECT position FROM events") == [(1,)]


def test_error_within_a_transaction_rolls_it_back(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), store.transaction() as transaction:  # noqa: PT012
        transaction.append(NewEvent("mails", MailSent("m", 1)))
        raise KeyboardInterrupt

    assert last_position(store.connection) == 0
    assert not store.connection.in_transaction


def test_transaction_within_a_transaction_is_refused_and_the_outer_one_goes_on(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent("mails", MailSent("m", 1)))
        with pytest.raises(DatabaseError, match="within a transaction"), store.transaction():
            pass

    assert last_position(store.connection) == 1


def test_broken_constraint_is_a_conflict(store: Store) -> None:
    with pytest.raises(ConflictError, match="append-only"), writing(store.connection):  # noqa: PT012
        store.connection.execute("INSERT INTO events VALUES (1, 'a', 1, 't', 1, '', '', x'')")
        store.connection.execute("INSERT INTO events VALUES (1, 'b', 1, 't', 1, '', '', x'')")

    assert last_position(store.connection) == 0


def test_unknown_error_of_sqlite_is_an_error_of_the_store() -> None:
    with pytest.raises(DatabaseError, match=r"^events\.db: no such table"), explained():
        sqlite3.connect(":memory:").execute("SELECT 1 FROM nowhere")


def test_processes_that_make_a_new_database_at_once_all_open_it(tmp_path: Path) -> None:
    assert at_once(opening, tmp_path, 25, count=3) == [[], [], []]


def test_commit_is_kept_when_another_process_leaves_after_a_second_opening(store: Store, home: Home) -> None:
    """Opening must never drop the locks of the process's other connections: the WAL would go under them."""
    second = Store(home.database)
    assert at_once(reading_and_leaving, home.database, count=1) == [0]
    record(store, failed())
    assert at_once(reading_and_leaving, home.database, count=1) == [1]

    second.close()
    assert (home.path / "events.db-wal").exists()


def test_opening_leaves_no_descriptor_behind(home: Home) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    Store(home.database).close()
    before = descriptors()
    for _ in range(3):
        Store(home.database).close()

    assert descriptors() == before


def test_the_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    foreign = sqlite3.connect(path)
    foreign.execute("CREATE TABLE recipes (name)")
    foreign.close()

    with pytest.raises(NotADatabaseError, match="another program"):
        open_database(path, is_writer=True)

    foreign = sqlite3.connect(path)
    assert foreign.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]
    foreign.close()


def test_a_database_that_cannot_be_opened_for_want_of_files_says_so_and_names_no_permissions(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    open_database(path, is_writer=True).close()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 1, before[1]))
    try:
        with pytest.raises(ShortageError, match="short of open files") as caught:
            open_database(path, is_writer=False)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    assert "permissions" not in str(caught.value)


def sqlite_error(name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    return error


@pytest.mark.parametrize("name", ["SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC"])
def test_after_a_failed_fsync_nobody_says_that_nothing_was_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(DiskFullError) as raised, explained(tmp_path / "events.db"):
        raise sqlite_error(name)

    assert "may or may not have been" in str(raised.value)
    assert "nothing was changed" not in str(raised.value)


@pytest.mark.parametrize(
    "name", ["SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_READONLY_DBMOVED", "SQLITE_IOERR_SHMOPEN"]
)
@pytest.mark.parametrize("is_read_only", [True, False])
def test_a_read_only_file_system_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, is_read_only: bool
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=os.ST_RDONLY if is_read_only else 0))

    with pytest.raises(DatabaseError) as raised, explained(tmp_path / "events.db"):
        raise sqlite_error(name)
    assert ("the file system is read-only" in str(raised.value)) is is_read_only
