"""The scratch beside a live database: begins empty, follows events, and leaves the live tables alone."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eventstore.common.clock import ManualClock
from eventstore.errors import DatabaseError
from eventstore.log.event_log import read_events
from eventstore.projections.catalogue import PROJECTIONS
from eventstore.unit_of_work import Store
from replay.projecting.scratch import open_scratch
from tests.eventstore.facts import failed, record, register, succeeded

_TABLES = [table for projection in PROJECTIONS.values() for table in projection.tables]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with Store(tmp_path / "events.db", ManualClock(datetime(2026, 3, 1, tzinfo=UTC))) as store:
        register(store)
        record(store, succeeded(), failed())
    return tmp_path / "events.db"


def _rows(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()


def test_projection_tables_begin_empty_and_are_filled_as_the_live_ones_are(database: Path) -> None:
    with open_scratch(database) as scratch:
        count_before = scratch.connection.execute("SELECT count(*) FROM buffer").fetchone()
        scratch.follow(read_events(scratch.connection))

        assert count_before == (0,)
        for table in _TABLES:
            assert _rows(scratch.connection, table) == _rows(scratch.connection, f"live.{table}")


def test_every_table_but_those_that_hold_what_nothing_else_does_is_a_projection(database: Path) -> None:
    tables = {
        name
        for (name,) in sqlite3.connect(database).execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_%'"
            " ESCAPE '\\'"
        )
    }

    assert tables - set(_TABLES) == {
        "events",
        "queue",
        "parcels",
        "idempotency_keys",
        "secrets",
        "attention",
        "at_work",
        "snapshots",
        "stream_entries",
        "clock",
        "damaged_parcels",
        "database_id",
    }


def test_a_scratch_that_only_reads_cannot_change_the_live_tables(database: Path) -> None:
    with pytest.raises(DatabaseError, match="cannot be written"), open_scratch(database) as scratch:
        scratch.connection.execute("DELETE FROM live.buffer")


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="no such database"), open_scratch(tmp_path / "none.db"):
        pass

    assert list(tmp_path.iterdir()) == []
