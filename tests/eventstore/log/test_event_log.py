import sqlite3
from contextlib import closing

import pytest

from eventstore.errors import ConflictError, UnknownEventError
from eventstore.events.catalogue import InstallationRemoved, MailSent
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent, Origin, StoredEvent, chain_hash, last_position, read_events
from eventstore.unit_of_work import Store
from tests.eventstore.facts import rows_of
from tests.eventstore.processes import appending, at_once

ROW = "(1, 'mails', 9, 'mail.sent', 1, '2025', '{}', x'00')"


def append(store: Store, *streams: str, **expected_versions: int) -> list[StoredEvent]:
    with store.transaction() as transaction:
        return transaction.append(
            *(NewEvent(stream, MailSent("m", 1)) for stream in streams), expected_versions=expected_versions
        )


def is_chained(connection: sqlite3.Connection) -> bool:
    rows = connection.execute(
        "SELECT position, stream, version, type, schema, recorded_at, data, hash FROM events ORDER BY position"
    )
    previous = b"\x00" * 16
    for position, stream, version, type_name, schema, recorded_at, data, found in rows:
        previous = chain_hash(
            previous,
            position=position,
            stream=stream,
            version=version,
            type_name=type_name,
            schema=schema,
            recorded_at=recorded_at,
            data=data,
        )
        if previous != found:
            return False
    return True


@pytest.fixture
def unguarded(store: Store) -> sqlite3.Connection:
    """A log of four events whose triggers somebody has dropped."""
    append(store, "a", "b")
    append(store, "b", "a")
    for name in ("update", "delete", "replace"):
        store.connection.execute(f"DROP TRIGGER events_refuse_{name}")
    return store.connection


def test_positions_grow_without_gaps_and_versions_by_stream(store: Store) -> None:
    append(store, "a", "b")
    append(store, "a")
    append(store, "b", "b")

    found = [(one.position, one.stream, one.version) for one in read_events(store.connection)]
    assert found == [(1, "a", 1), (2, "b", 1), (3, "a", 2), (4, "b", 2), (5, "b", 3)]


def test_what_was_recorded_elsewhere_keeps_its_time_and_its_form_and_joins_the_chain(store: Store) -> None:
    origin = Origin("2024-12-31T23:59:59.000000Z", 1, '{"mail_id":"m","attempt":1.0}', "mail.sent")
    append(store, "a")
    with store.transaction() as transaction:
        (stored,) = transaction.append(NewEvent("a", MailSent("m", 1), origin))

    assert (stored.position, stored.version, stored.recorded_at) == (2, 2, origin.recorded_at)
    assert store.connection.execute("SELECT recorded_at, schema, data FROM events WHERE position = 2").fetchall() == [
        (origin.recorded_at, origin.schema, origin.data)
    ]
    assert is_chained(store.connection)


def test_position_of_a_transaction_that_failed_is_used_again(store: Store) -> None:
    append(store, "a")
    with pytest.raises(RuntimeError), store.transaction() as transaction:  # noqa: PT012
        transaction.append(NewEvent("a", MailSent("m", 1)))
        raise RuntimeError

    assert append(store, "a")[0].position == 2
    assert is_chained(store.connection)


def test_empty_log_is_at_position_0(store: Store) -> None:
    assert last_position(store.connection) == 0


def test_appending_nothing_changes_nothing(store: Store) -> None:
    assert append(store) == []
    assert last_position(store.connection) == 0


def test_stream_at_the_expected_version_is_appended_to(store: Store) -> None:
    append(store, "a", a=0)
    append(store, "a", "a", a=1)

    assert last_position(store.connection) == 3


@pytest.mark.parametrize("expected", [0, 2])
def test_stream_at_another_version_than_expected_is_a_conflict(store: Store, expected: int) -> None:
    append(store, "a")
    with pytest.raises(ConflictError, match=f"stream a is at version 1, and {expected} was expected"):
        append(store, "a", a=expected)

    assert last_position(store.connection) == 1


def test_expected_version_of_a_stream_that_is_only_read_is_checked(store: Store) -> None:
    append(store, "a")
    with pytest.raises(ConflictError):
        append(store, "b", a=0)

    assert last_position(store.connection) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET data = '{}'",
        "UPDATE events SET position = position + 100",
        "DELETE FROM events",
        f"INSERT OR REPLACE INTO events VALUES {ROW}",
        f"REPLACE INTO events VALUES {ROW.replace('1,', '77,', 1).replace('9', '1')}",
        f"INSERT OR IGNORE INTO events VALUES {ROW}",
    ],
)
def test_log_is_append_only_for_every_program(store: Store, home: Home, statement: str) -> None:
    append(store, "mails")
    before = rows_of(home.database, "SELECT * FROM events")
    # A plain connection: the one that made the tables has recursive_triggers on, by sqlite-utils.
    with closing(sqlite3.connect(home.database)) as plain, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        plain.execute(statement)

    assert rows_of(home.database, "SELECT * FROM events") == before


def test_untouched_log_is_chained(unguarded: sqlite3.Connection) -> None:
    assert is_chained(unguarded)


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE events SET data = replace(data, '1', '2') WHERE position = 1",
        "UPDATE events SET recorded_at = '2024' || substr(recorded_at, 5) WHERE position = 2",
        "UPDATE events SET type = 'mail.failed' WHERE position = 3",
        "UPDATE events SET schema = 2 WHERE position = 4",
        "UPDATE events SET stream = 'c' WHERE position = 2",
        "UPDATE events SET version = 7 WHERE position = 2",
        "DELETE FROM events WHERE position = 2",
        "UPDATE events SET position = 9 WHERE position = 4",
        "UPDATE events SET hash = x'00000000000000000000000000000000' WHERE position = 3",
    ],
)
def test_tampering_breaks_the_chain(unguarded: sqlite3.Connection, tampering: str) -> None:
    unguarded.execute(tampering)

    assert not is_chained(unguarded)


def test_processes_that_append_at_once_give_one_gapless_chain(home: Home) -> None:
    assert at_once(appending, home.database, 60) == ["done", "done"]

    with Store(home.database) as store:
        events = list(read_events(store.connection))
        assert [one.position for one in events] == list(range(1, 241))
        assert [one.version for one in events if one.stream == "installation-shared"] == list(range(1, 121))
        assert is_chained(store.connection)


def test_events_are_read_by_stream_type_position_and_limit(store: Store) -> None:
    append(store, "a", "b", "a")
    with store.transaction() as transaction:
        transaction.append(NewEvent("a", InstallationRemoved("x")))
    connection = store.connection

    assert [one.position for one in read_events(connection, stream="a")] == [1, 3, 4]
    assert [one.position for one in read_events(connection, type_names=["installation.removed"])] == [4]
    assert [one.position for one in read_events(connection, after_position=2)] == [3, 4]
    assert [one.position for one in read_events(connection, limit=2)] == [1, 2]
    assert [one.position for one in read_events(connection, is_newest_first=True, limit=2)] == [4, 3]


def test_a_stream_is_read_without_sorting_it_first(store: Store) -> None:
    statements: list[str] = []
    store.connection.set_trace_callback(statements.append)
    list(read_events(store.connection, stream="a", is_newest_first=True, limit=1))
    store.connection.set_trace_callback(None)

    plan = [row[3] for row in store.connection.execute(f"EXPLAIN QUERY PLAN {statements[0]}")]

    assert plan == ["SEARCH events USING INDEX sqlite_autoindex_events_1 (stream=?)"]


def test_event_of_a_later_version_is_not_passed_over(store: Store) -> None:
    append(store, "a")
    store.connection.execute("INSERT INTO events VALUES (2, 'a', 2, 'mail.eaten', 1, '2025', '{}', x'00')")

    with pytest.raises(UnknownEventError):
        list(read_events(store.connection))


def test_stored_event_knows_its_type(store: Store) -> None:
    (stored,) = append(store, "a")

    assert (stored.type, stored.recorded_at) == ("mail.sent", "2025-02-03T12:00:00.000000Z")
