"""What differs between the live tables and the events is found, named and counted; what can't be read is named."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from eventstore.common.clock import ManualClock
from eventstore.errors import DamagedLogError, DatabaseError
from eventstore.projections.catalogue import PROJECTIONS
from eventstore.unit_of_work import Store
from replay.check.verification import Comparison, verify
from replay.projecting.remake import ALL_NAMES
from tests.eventstore.facts import INSTALLATION_ID, failed, record
from tests.eventstore.projections.test_projection import histories, written
from tests.replay.lived import Lived, unguarded

TABLES = [table for projection in PROJECTIONS.values() for table in projection.tables]


def damage(lived: Lived, statement: str) -> None:
    assert lived.store.connection.execute(statement).rowcount != 0


def shown(found: Comparison) -> list[tuple[Any, ...]]:
    return [(one.table, *one.key.values(), one.field, one.live, one.rebuilt) for one in found.differences]


def test_every_table_of_the_home_that_is_tried_here_has_rows(lived: Lived) -> None:
    for table in TABLES:
        assert lived.store.connection.execute(f"SELECT count(*) FROM {table}").fetchone() > (0,), table


def test_what_was_written_by_the_store_is_in_step(lived: Lived) -> None:
    found = verify(lived.database)

    assert (found.differences, found.counts, found.truncation) == ((), {}, None)
    assert list(found.tables) == TABLES
    assert found.up_to_position == lived.store.connection.execute("SELECT max(position) FROM events").fetchone()[0]
    assert (found.waiting, found.without_payload) == (1, 0)


@given(history=histories)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_every_history_is_in_step(tmp_path_factory: Any, history: list[tuple[str, str, str, float]]) -> None:
    database = tmp_path_factory.mktemp("home") / "events.db"
    written(database, history)[0].close()

    # These histories tell of kept deliveries that were never in the queue.
    assert verify(database, tuple(PROJECTIONS)).differences == ()


@pytest.mark.parametrize("field", ["success", "server_error", "timeout", "first_failure", "last_failure"])
def test_a_value_of_the_buffer_changed_by_hand_is_named_with_both_values(lived: Lived, field: str) -> None:
    (before,) = lived.store.connection.execute(
        f"SELECT {field} FROM buffer WHERE installation_id = ? AND day = '2026-03-01'", (INSTALLATION_ID,)
    ).fetchone()
    damage(lived, f"UPDATE buffer SET {field} = 777 WHERE installation_id = '{INSTALLATION_ID}' AND day = '2026-03-01'")

    found = verify(lived.database)

    assert shown(found) == [("buffer", INSTALLATION_ID, "2026-03-01", field, 777, before)]
    assert found.counts == {"buffer": 1}


def test_a_day_that_was_deleted_is_named_count_by_count(lived: Lived) -> None:
    damage(lived, f"DELETE FROM buffer WHERE installation_id = '{INSTALLATION_ID}' AND day = '2026-03-02'")

    found = verify(lived.database)

    assert {(field, live) for *_, field, live, _ in shown(found)} == {
        ("success", None),
        ("server_error", None),
        ("first_failure", None),
        ("last_failure", None),
    }


def test_a_day_that_was_made_up_is_named_even_when_it_counts_nothing(lived: Lived) -> None:
    lived.store.connection.execute("INSERT INTO buffer (installation_id, day) VALUES ('x', '2026-01-01')")

    (difference,) = verify(lived.database).differences

    assert (difference.key, difference.field) == ({"installation_id": "x", "day": "2026-01-01"}, "")
    assert '"success":0' in str(difference.live)
    assert difference.rebuilt is None


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_was_deleted_is_found_in_every_table(lived: Lived, table: str) -> None:
    damage(lived, f"DELETE FROM {table}")

    found = verify(lived.database)

    assert set(found.counts) == {table}
    assert {one.live for one in found.differences} == {None}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_was_dropped_is_found(lived: Lived, table: str) -> None:
    lived.store.connection.execute(f"DROP TABLE {table}")

    (difference,) = verify(lived.database).differences

    assert (difference.table, difference.key, difference.live) == (table, {}, None)
    assert str(difference.rebuilt).startswith("a table of ")


@pytest.mark.parametrize("name", PROJECTIONS)
def test_only_what_is_asked_for_is_compared(lived: Lived, name: str) -> None:
    for table in TABLES:
        damage(lived, f"DELETE FROM {table}")

    found = verify(lived.database, (name,))

    assert set(found.counts) == set(found.tables) == set(PROJECTIONS[name].tables)
    assert found.waiting is None


def test_all_differences_are_counted_and_the_first_ones_kept(lived: Lived) -> None:
    (rows,) = lived.store.connection.execute("SELECT count(*) FROM request_log").fetchone()
    damage(lived, "UPDATE request_log SET is_error = 2")

    found = verify(lived.database, limit=3)

    assert (len(found.differences), found.counts) == (3, {"request_log": rows})
    assert rows > 3


def test_bytes_that_somebody_wrote_into_a_table_are_shown(lived: Lived) -> None:
    damage(lived, "UPDATE installations SET changed_at = x'ff00'")
    damage(lived, "UPDATE audit SET actor = CAST(x'ff41' AS TEXT)")

    found = verify(lived.database)

    assert {one.live for one in found.differences} == {"x'ff00'", "\\xffA"}


def test_verifying_changes_nothing(lived: Lived) -> None:
    lived.store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = lived.database.read_bytes()
    damage(lived, "DELETE FROM buffer")
    damaged = lived.store.connection.execute("SELECT count(*) FROM buffer").fetchone()

    verify(lived.database)

    assert lived.store.connection.execute("SELECT count(*) FROM buffer").fetchone() == damaged == (0,)
    assert lived.database.read_bytes() == before


def test_progress_is_told_to_the_last_event(lived: Lived) -> None:
    told: list[int] = []

    found = verify(lived.database, advance=told.append)

    assert sum(told) == found.up_to_position


def test_what_is_compared_is_of_one_moment(lived: Lived, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that writes between the reading of the events and the look at the tables makes no difference."""
    from replay.check import verification

    compare = verification.compare

    def late(*arguments: Any, **fields: Any) -> Comparison:
        record(lived.store, failed(), failed())
        return compare(*arguments, **fields)

    monkeypatch.setattr(verification, "compare", late)

    assert verify(lived.database).differences == ()


def test_events_that_come_while_the_log_is_read_are_followed(lived: Lived) -> None:
    seen: list[int] = []

    def advance(count: int) -> None:
        if not seen:
            record(lived.store, failed(), failed())
        seen.append(count)

    found = verify(lived.database, advance=advance)

    assert (found.differences, len(seen)) == ((), 2)


# --- a log that is damaged ---


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("DELETE FROM events WHERE position = 7", "event 7 is missing from the log"),
        ("DELETE FROM events WHERE position = 1", "event 1 is missing from the log"),
        ("UPDATE events SET position = 99999 WHERE position = 9", "event 9 is missing from the log"),
        ("UPDATE events SET position = -3 WHERE position = 9", "event -3 stands before the first"),
        (
            "UPDATE events SET data = substr(data, 1, 20) WHERE position = 8",
            "event 8: the data of this delivery.failed",
        ),
        (
            "UPDATE events SET data = CAST(x'7bff7d' AS TEXT) WHERE position = 8",
            "event 8 holds bytes that are not text",
        ),
        ("UPDATE events SET type = 'delivery.eaten' WHERE position = 8", "event 8: event type 'delivery.eaten'"),
        ("UPDATE events SET schema = 7 WHERE position = 8", "event 8: delivery.failed with schema 7"),
        ("UPDATE events SET schema = 'x' WHERE position = 8", "event 8: delivery.failed with schema x"),
        ("UPDATE events SET data = '{\"a\":' || replace(hex(zeroblob(9000)), '0', '[')", "event 1: the data of this"),
        ("UPDATE events SET stream = CAST(stream AS BLOB) WHERE type = 'delivery.missed'", "event 7 holds bytes that"),
    ],
)
def test_an_event_that_is_missing_or_cannot_be_read_is_named(lived: Lived, statement: str, text: str) -> None:
    with unguarded(lived.database) as connection:
        connection.execute(statement)

    with pytest.raises(DamagedLogError) as error:
        verify(lived.database)

    assert str(error.value).startswith(text)


def test_an_event_that_cannot_be_read_does_not_concern_a_projection_that_does_not_follow_it(lived: Lived) -> None:
    with unguarded(lived.database) as connection:
        connection.execute("UPDATE events SET data = '{' WHERE type = 'mail.requested'")

    assert verify(lived.database, ("buffer", "registry", "requests", "audit", "ledger")).differences == ()
    with pytest.raises(DamagedLogError):
        verify(lived.database, ("outbox",))


@pytest.mark.parametrize("names", [("audit",), ("buffer",), ("ledger",), ALL_NAMES])
def test_an_event_of_a_type_that_is_not_known_concerns_everything(lived: Lived, names: tuple[str, ...]) -> None:
    with unguarded(lived.database) as connection:
        connection.execute("UPDATE events SET type = 'x.y' WHERE position = 8")

    with pytest.raises(DamagedLogError, match=r"^event 8: event type 'x.y'"):
        verify(lived.database, names)


def test_an_event_that_its_projection_cannot_follow_is_named(lived: Lived) -> None:
    with unguarded(lived.database) as connection:
        (first, second, *_) = connection.execute("SELECT position, data FROM events WHERE type = 'mail.requested'")
        connection.execute("UPDATE events SET data = ? WHERE position = ?", (first[1], second[0]))

    with pytest.raises(DamagedLogError, match=rf"^event {second[0]} does not go with those before it"):
        verify(lived.database)


@pytest.mark.parametrize(
    ("table", "column"), [("request_log", "position"), ("audit", "position"), ("buffer", "last_failure")]
)
def test_a_live_table_that_names_an_event_behind_the_end_betrays_a_log_that_was_cut(
    lived: Lived, table: str, column: str
) -> None:
    damage(lived, f"UPDATE {table} SET {column} = 9999 WHERE {column} = (SELECT max({column}) FROM {table})")

    found = verify(lived.database)

    assert found.truncation is not None
    assert f"{table} names event 9999" in found.truncation


def test_a_log_whose_end_was_cut_off_is_betrayed_by_the_live_tables(lived: Lived) -> None:
    with unguarded(lived.database) as connection:
        (last,) = connection.execute("SELECT max(position) FROM events").fetchone()
        connection.execute("DELETE FROM events WHERE position > ?", (last - 6,))

    found = verify(lived.database)

    assert found.truncation is not None
    assert f"the log ends at event {last - 6}" in found.truncation
    assert found.count > 0


# --- databases that are none ---


def test_a_file_that_is_no_database_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_text("a shopping list, and not a database at all\n" * 100)

    with pytest.raises(DatabaseError, match="not a SQLite database"):
        verify(tmp_path / "events.db")


def test_a_database_of_an_older_schema_is_brought_to_the_newest_first(lived: Lived) -> None:
    connection = lived.store.connection
    connection.execute("DROP INDEX outbox_by_digest")
    connection.execute("ALTER TABLE outbox DROP COLUMN digest_id")
    connection.execute("DELETE FROM _sqlite_migrations WHERE name LIKE '0003%'")
    connection.execute("PRAGMA user_version = 2")

    assert verify(lived.database).differences == ()


def test_an_empty_home_is_in_step(tmp_path: Path) -> None:
    Store(tmp_path / "events.db", ManualClock(datetime(2026, 3, 1, tzinfo=UTC))).close()

    found = verify(tmp_path / "events.db")

    assert (found.up_to_position, found.differences) == (0, ())


def test_a_scratch_leaves_no_file_behind(lived: Lived) -> None:
    before = sorted(path.name for path in lived.database.parent.iterdir())
    verify(lived.database)

    assert sorted(path.name for path in lived.database.parent.iterdir()) == before
    with closing(sqlite3.connect(lived.database)) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'ledger'").fetchone() == (0,)
