"""A backup is whole and of one moment, also while a daemon writes; and what is restored is what was copied."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from eventstore.backup.copy import back_up, restore
from eventstore.common.clock import ManualClock
from eventstore.errors import DaemonRunningError, DatabaseError, RejectedError
from eventstore.home.folder import Home
from eventstore.integrity.whole_check import Advancing, Nobody
from eventstore.sqlite.migrations import SCHEMA_VERSION
from eventstore.unit_of_work import Store
from tests.eventstore.facts import record, register, rows_of, succeeded

_ALL = "SELECT position, stream, version, type, data, hash FROM events ORDER BY position"


def test_a_restored_home_is_the_one_that_was_copied(home: Home, store: Store, tmp_path: Path) -> None:
    register(store)
    record(store, succeeded())
    position = back_up(home, tmp_path / "copy.db")
    before = rows_of(home.database, _ALL)
    record(store, succeeded(), succeeded())
    store.close()
    restored, kept = restore(home, tmp_path / "copy.db")

    assert position == restored == len(before)
    assert rows_of(home.database, _ALL) == before
    assert kept is not None
    assert len(rows_of(kept / "events.db", _ALL)) == len(before) + 2


def test_a_copy_of_a_database_that_is_being_written_is_of_one_moment(
    home: Home, store: Store, clock: ManualClock, tmp_path: Path
) -> None:
    register(store)
    for _ in range(200):  # some thousand pages
        record(store, *[succeeded(request_body="x" * 1000)] * 40)

    class Meanwhile:
        def advance(self, _count: int) -> None:
            record(store, succeeded())

    @contextmanager
    def write_meanwhile(what: str, _total: int | None) -> Iterator[Advancing]:
        yield Meanwhile() if what == "copying" else Nobody()

    position = back_up(home, tmp_path / "copy.db", write_meanwhile)

    assert position == 3 + 200 * 40
    assert rows_of(tmp_path / "copy.db", "SELECT count(*), max(position) FROM events") == [(position, position)]
    assert rows_of(home.database, "SELECT count(*) > 8003 FROM events") == [(1,)]


def test_a_copy_is_private_and_one_file(home: Home, store: Store, tmp_path: Path) -> None:
    register(store)
    target = tmp_path / "copies" / "copy.db"
    target.parent.mkdir()
    back_up(home, target)

    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(target.parent.iterdir()) == [target]


def test_nothing_is_overwritten(home: Home, store: Store, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("precious")

    with pytest.raises(RejectedError, match="already exists"):
        back_up(home, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "precious"


def test_a_folder_that_is_not_there_is_said(home: Home, store: Store, tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="No such file"):
        back_up(home, tmp_path / "none" / "copy.db")


def test_while_a_daemon_runs_nothing_is_restored(home: Home, store: Store, tmp_path: Path) -> None:
    register(store)
    back_up(home, tmp_path / "copy.db")
    with home.ownership.held(), pytest.raises(DaemonRunningError):
        restore(home, tmp_path / "copy.db")


@pytest.mark.parametrize("rubbish", [b"", b"no database", b"SQLite format 3\x00" + b"\xff" * 5000])
def test_rubbish_is_not_restored_and_the_database_stays(
    home: Home, store: Store, tmp_path: Path, rubbish: bytes
) -> None:
    register(store)
    (tmp_path / "copy.db").write_bytes(rubbish)
    store.close()

    with pytest.raises(RejectedError, match=r"copy\.db: this is not a copy"):
        restore(home, tmp_path / "copy.db")
    assert len(rows_of(home.database, _ALL)) == 3
    assert sorted(path.name for path in home.path.iterdir() if "restore" in path.name) == []


def test_a_copy_of_a_newer_hookfuse_is_not_restored_and_the_database_stays(
    home: Home, store: Store, tmp_path: Path
) -> None:
    register(store)
    back_up(home, tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    store.close()

    with pytest.raises(RejectedError, match=r"copy\.db: the database has schema .*install a newer"):
        restore(home, tmp_path / "copy.db")
    assert len(rows_of(home.database, _ALL)) == 3


def test_the_database_of_another_program_is_no_copy(home: Home, store: Store, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection:
        connection.execute("CREATE TABLE events (position INTEGER)")
    store.close()

    with pytest.raises(RejectedError, match="this is not a copy"):
        restore(home, tmp_path / "copy.db")


def test_a_home_that_was_lost_is_made_again(home: Home, store: Store, tmp_path: Path) -> None:
    register(store)
    back_up(home, tmp_path / "copy.db")
    elsewhere = Home(tmp_path / "new")
    position, kept = restore(elsewhere, tmp_path / "copy.db")

    assert (position, kept) == (3, None)
    with closing(sqlite3.connect(elsewhere.database)) as connection:
        assert connection.execute("SELECT count(*) FROM installations").fetchone() == (1,)
    assert stat.S_IMODE(elsewhere.database.stat().st_mode) == 0o600
