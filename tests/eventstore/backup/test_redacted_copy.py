"""A copy for looking holds what may be seen and no secret, not even in a page that was freed."""

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from eventstore.backup.copy import restore
from eventstore.backup.redacted_copy import COPIED_TABLES, copy_without_secrets
from eventstore.common.clock import ManualClock
from eventstore.errors import DatabaseError, NotADatabaseError, RejectedError
from eventstore.home.folder import Home
from eventstore.projections.app_secrets import AppSecrets, write_secrets
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.sqlite.database import open_database
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, failed, record, register, rows_of, succeeded

_SECRETS = ("a-secret-of-now", "a-header-value", "a-secret-of-before", "32 bytes that seed a signing key")
_LEFT_OUT = {
    "clock",
    "database_id",
    "damaged_parcels",
    "secrets",
    "idempotency_keys",
    "attention",
    "at_work",
    "snapshots",
    "stream_entries",
}


def _quietly(_count: int) -> None:
    pass


def _with_secrets(store: Store) -> None:
    register(store)
    with store.transaction() as transaction:
        now, header, _, _ = _SECRETS
        write_secrets(transaction.connection, 42, AppSecrets(now, (("X-Token", header),)))
        transaction.connection.execute(
            "UPDATE secrets SET previous_secret = ?, previous_until = '2099', signing_key = ?",
            (_SECRETS[2], _SECRETS[3].encode()),
        )
        enqueue(transaction.connection, [NewDelivery(INSTALLATION_ID, "e", '{"n":1}')], enqueued_at="t")


def test_no_secret_is_anywhere_in_the_file(home: Home, store: Store, tmp_path: Path) -> None:
    _with_secrets(store)
    target = tmp_path / "copy.db"

    copy_without_secrets(home, target, _quietly)

    with closing(sqlite3.connect(home.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert all(secret.encode() in home.database.read_bytes() for secret in _SECRETS)
    assert not any(secret.encode() in target.read_bytes() for secret in _SECRETS)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".copy", "copy"))] == ["copy.db"]


def test_what_is_copied_is_as_it_was(home: Home, store: Store, tmp_path: Path) -> None:
    _with_secrets(store)
    record(store, succeeded(), failed())

    position = copy_without_secrets(home, tmp_path / "copy.db", _quietly)

    assert position == 5
    for table in COPIED_TABLES:
        query = f"SELECT * FROM {table}"
        assert rows_of(tmp_path / "copy.db", query) == rows_of(home.database, query), table


def test_every_table_is_either_copied_or_left_out_by_decision(home: Home, store: Store) -> None:
    """A table that is new stays out of copies until its name is in one of the two lists."""
    names = rows_of(home.database, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB '*sqlite_*'")

    assert {name for (name,) in names} == {*COPIED_TABLES, *_LEFT_OUT}


def test_a_copy_says_what_it_was_asked_and_finds_a_delivery_by_an_index(
    home: Home, store: Store, tmp_path: Path
) -> None:
    _with_secrets(store)
    record(store, *[succeeded()] * 120)
    copied: list[int] = []

    copy_without_secrets(home, tmp_path / "copy.db", copied.append)

    plan = rows_of(
        tmp_path / "copy.db",
        "EXPLAIN QUERY PLAN SELECT * FROM events WHERE json_extract(data, '$.delivery_id') = 'd-1' ORDER BY position",
    )
    assert sum(copied) == 123
    assert "USING INDEX events_by_delivery" in str(plan)


def test_a_copy_is_of_one_moment_while_a_daemon_writes(
    home: Home, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventstore.backup.redacted_copy._BATCH", 10)
    _with_secrets(store)
    record(store, *[succeeded()] * 97)

    def write_meanwhile(_count: int) -> None:
        record(store, succeeded())

    position = copy_without_secrets(home, tmp_path / "copy.db", write_meanwhile)

    assert position == 100
    assert rows_of(tmp_path / "copy.db", "SELECT count(*), sum(success) FROM events, buffer") == [(100, 9700)]
    assert rows_of(home.database, "SELECT count(*) FROM events") == [(110,)]


def test_events_of_a_copy_are_append_only_too(home: Home, store: Store, tmp_path: Path) -> None:
    _with_secrets(store)
    copy_without_secrets(home, tmp_path / "copy.db", _quietly)

    with (
        closing(sqlite3.connect(tmp_path / "copy.db")) as connection,
        pytest.raises(sqlite3.Error, match="append-only"),
    ):
        connection.execute("DELETE FROM events")


def test_a_copy_is_neither_restored_nor_taken_for_a_home(
    home: Home, store: Store, tmp_path: Path, clock: ManualClock
) -> None:
    _with_secrets(store)
    store.close()
    copy_without_secrets(home, tmp_path / "copy.db", _quietly)
    before = rows_of(home.database, "SELECT * FROM events")

    with pytest.raises(RejectedError, match="made without secrets"):
        restore(home, tmp_path / "copy.db")
    with pytest.raises(NotADatabaseError):
        open_database(tmp_path / "copy.db", is_writer=True)
    assert rows_of(home.database, "SELECT * FROM events") == before


def test_nothing_is_overwritten_and_what_fails_leaves_nothing(home: Home, store: Store, tmp_path: Path) -> None:
    _with_secrets(store)
    (tmp_path / "there").write_text("precious")

    with pytest.raises(RejectedError, match="already exists"):
        copy_without_secrets(home, tmp_path / "there", _quietly)
    with pytest.raises(DatabaseError, match="No such file"):
        copy_without_secrets(home, tmp_path / "none" / "copy.db", _quietly)
    with pytest.raises(KeyboardInterrupt):
        copy_without_secrets(home, tmp_path / "broken", _interrupt)
    assert {path.name for path in tmp_path.iterdir()} <= {"there", home.path.name}


def _interrupt(_count: int) -> None:
    raise KeyboardInterrupt
