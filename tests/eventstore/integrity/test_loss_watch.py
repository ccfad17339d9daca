"""A database that is written over in its own place under a daemon is noticed within a minute."""

import os
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from eventstore.errors import DatabaseError
from eventstore.home.folder import Home
from eventstore.integrity.loss_watch import LossWatch
from eventstore.sqlite.high_water_mark import mark_path
from eventstore.unit_of_work import Store
from tests.eventstore.facts import record, register, succeeded


class _Seconds:
    """A clock that stands until it is moved."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as opened, closing(sqlite3.connect(target)) as copy:
        opened.backup(copy)


def _older(home: Home, store: Store, tmp_path: Path) -> bytes:
    _copy(home.database, tmp_path / "older.db")
    record(store, succeeded())
    return (tmp_path / "older.db").read_bytes()


def _of_another_home(_home: Home, _store: Store, tmp_path: Path) -> bytes:
    with Store(tmp_path / "other.db") as other:
        register(other)
        _copy(tmp_path / "other.db", tmp_path / "copy.db")
    return (tmp_path / "copy.db").read_bytes()


@pytest.mark.parametrize(
    ("make", "what"), [(_older, "lacks 1 event that it had"), (_of_another_home, "not the database that was here")]
)
def test_a_database_that_is_written_over_in_its_place_is_noticed_within_a_minute(
    home: Home, store: Store, tmp_path: Path, make: Callable[[Home, Store, Path], bytes], what: str
) -> None:
    register(store)
    content = make(home, store, tmp_path)
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    seconds = _Seconds()
    losses = LossWatch(home.database, seconds)
    home.database.write_bytes(content)

    assert losses.lost() == ""
    seconds.now_s = 60.0
    assert what in losses.lost()
    assert losses.lost() == losses.lost()


@pytest.mark.parametrize("content", [b"", b"hello " * 10_000], ids=["cut off", "text"])
def test_a_database_that_cannot_be_read_any_more_is_noticed_within_a_minute(
    home: Home, store: Store, content: bytes
) -> None:
    register(store)
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    seconds = _Seconds()
    losses = LossWatch(home.database, seconds)
    home.database.write_bytes(content)
    seconds.now_s = 60.0

    assert re.search("is empty, and there was|damaged|not a SQLite database any more", losses.lost())


def test_a_database_that_is_whole_is_never_called_lost_whoever_commits(home: Home, store: Store) -> None:
    register(store)
    seconds = _Seconds()
    losses = LossWatch(home.database, seconds)
    for _ in range(3):
        record(store, succeeded())
        seconds.now_s += 60.0

        assert losses.lost() == ""


def test_a_file_that_has_another_name_now_is_noticed_at_each_look(home: Home, store: Store, tmp_path: Path) -> None:
    register(store)
    losses = LossWatch(home.database, _Seconds())
    shutil.move(home.database, tmp_path / "moved.db")

    assert "was removed or replaced" in losses.lost()


def test_a_mark_that_is_gone_is_no_loss(home: Home, store: Store) -> None:
    register(store)
    seconds = _Seconds()
    losses = LossWatch(home.database, seconds)
    mark_path(home.database).unlink()
    seconds.now_s = 60.0

    assert losses.lost() == ""


@pytest.mark.parametrize("left_bytes", [0, 32, 5_000], ids=["nothing", "its head", "a frame"])
def test_a_wal_that_is_cut_off_in_its_place_is_noticed_at_the_next_look(
    home: Home, store: Store, left_bytes: int
) -> None:
    register(store)
    losses = LossWatch(home.database, _Seconds())
    before = losses.lost()
    os.truncate(f"{home.database}-wal", left_bytes)

    assert before == ""
    assert losses.lost() != ""
    assert losses.lost() == losses.lost()


def test_a_wal_that_was_cut_off_is_noticed_behind_the_next_commit_too(home: Home, store: Store) -> None:
    register(store)
    losses = LossWatch(home.database, _Seconds())
    os.truncate(f"{home.database}-wal", 0)
    with suppress(DatabaseError):
        record(store, succeeded())

    assert losses.lost() != ""


def test_a_wal_that_a_checkpoint_shortens_is_no_loss(home: Home, store: Store) -> None:
    register(store)
    losses = LossWatch(home.database, _Seconds())
    before = losses.lost()
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    after = losses.lost()
    record(store, succeeded())

    assert (before, after, losses.lost()) == ("", "", "")
