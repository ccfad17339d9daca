"""Snapshots spare reading, and nothing else: whatever becomes of them, the events are right."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import DeliveryMissed, Event, InstallationEnabled
from eventstore.home.folder import Home
from eventstore.log import snapshots as snapshot
from eventstore.log.event_log import NewEvent
from eventstore.log.snapshots import read_recent_outcomes
from eventstore.policies import recent_outcomes
from eventstore.policies.recent_outcomes import RecentOutcomes
from eventstore.sqlite.database import open_database
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, OTHER_INSTALLATION_ID, failed, record, register, succeeded
from tests.eventstore.projections.test_health import EVENTS, START

EVERY = 8


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_SNAPSHOT_EVERY", EVERY)


@pytest.fixture
def lived(store: Store, clock: ManualClock) -> Store:
    """Return a store in which two installations have a snapshot, and some events after it."""
    for installation_id, app_id in ((INSTALLATION_ID, 42), (OTHER_INSTALLATION_ID, 43)):
        register(store, installation_id=installation_id, app_id=app_id)
        for _ in range(EVERY + 2):
            record(store, failed(), installation_id=installation_id)
            clock.advance(seconds=1)
    return store


def rows(store: Store) -> list[Any]:
    return store.connection.execute("SELECT * FROM snapshots ORDER BY installation_id").fetchall()


def versions(store: Store, installation_id: str = INSTALLATION_ID) -> list[int]:
    query = "SELECT version FROM snapshots WHERE installation_id = ?"
    return [version for (version,) in store.connection.execute(query, (installation_id,))]


def from_events(store: Store, installation_id: str = INSTALLATION_ID) -> RecentOutcomes:
    """Read an installation's latest outcomes where there is no snapshot of anything."""
    store.connection.execute("BEGIN")
    try:
        store.connection.execute("DELETE FROM snapshots")
        return read_recent_outcomes(store.connection, installation_id)
    finally:
        store.connection.execute("ROLLBACK")


@pytest.fixture
def statements(lived: Store) -> Iterator[list[str]]:
    """Return the statements that SQLite runs, with their values."""
    seen: list[str] = []
    lived.connection.set_trace_callback(seen.append)
    yield seen
    lived.connection.set_trace_callback(None)


def is_believed(store: Store, statements: list[str], installation_id: str = INSTALLATION_ID) -> bool:
    """Return whether a read starts after the snapshot, and check that it gives what the events give."""
    statements.clear()
    recent = read_recent_outcomes(store.connection, installation_id)
    reading = statements[-1]

    assert recent == from_events(store, installation_id)
    return f"max({EVERY}," in reading


def test_a_snapshot_is_made_at_every_so_many_events_of_an_installation(store: Store) -> None:
    register(store)
    record(store, *[failed()] * (EVERY - 2))
    before = versions(store)
    record(store, failed())
    at_first = versions(store)
    record(store, *[succeeded()] * EVERY)

    assert (before, at_first, versions(store)) == ([], [EVERY], [2 * EVERY])


def test_a_large_group_makes_one_snapshot_of_its_end(store: Store) -> None:
    register(store)
    record(store, *[failed()] * (5 * EVERY + 3))

    assert versions(store) == [5 * EVERY + 4]


def test_other_streams_have_none(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.append(*[NewEvent("app-42", failed())] * EVERY)

    assert rows(store) == []


def test_it_is_made_with_the_commit_or_not_at_all(store: Store) -> None:
    register(store)
    with pytest.raises(KeyError), store.transaction() as transaction:  # noqa: PT012
        transaction.append(*[NewEvent(installation_stream(INSTALLATION_ID), failed())] * EVERY)
        raise KeyError

    assert rows(store) == []


def test_only_what_comes_after_it_is_read(lived: Store, statements: list[str]) -> None:
    assert is_believed(lived, statements)


def test_one_that_is_missing_is_not_missed(lived: Store, statements: list[str]) -> None:
    lived.connection.execute("DELETE FROM snapshots")

    assert not is_believed(lived, statements)


@pytest.mark.parametrize("position", range(0, 100, 7))
def test_one_with_a_changed_byte_is_ignored(lived: Store, statements: list[str], position: int) -> None:
    (data,) = lived.connection.execute("SELECT data FROM snapshots LIMIT 1").fetchone()
    damaged = bytearray(data)
    damaged[position % len(damaged)] ^= 0x40
    lived.connection.execute("UPDATE snapshots SET data = ?", (bytes(damaged),))

    assert not is_believed(lived, statements)


@pytest.mark.parametrize(
    "damage",
    [
        "data = substr(data, 1, 20)",
        "data = x''",
        "data = 'text'",
        "checksum = x'00'",
        "checksum = ''",
        "schema = schema - 1",
        "schema = schema + 1",
        "version = version - 1",
        "version = version + 1",
        "version = version + 1000",
        "version = 'text'",
    ],
)
def test_one_that_is_cut_or_of_another_schema_or_version_is_ignored(
    lived: Store, statements: list[str], damage: str
) -> None:
    lived.connection.execute(f"UPDATE snapshots SET {damage}")

    assert not is_believed(lived, statements)


def test_one_of_another_installation_is_ignored(lived: Store, statements: list[str]) -> None:
    lived.connection.execute(
        "UPDATE snapshots SET (version, checksum, data) ="
        " (SELECT version, checksum, data FROM snapshots WHERE installation_id = ?) WHERE installation_id = ?",
        (OTHER_INSTALLATION_ID, INSTALLATION_ID),
    )

    assert not is_believed(lived, statements)


def test_one_of_another_history_is_ignored(lived: Store, statements: list[str]) -> None:
    lived.connection.execute("DROP TRIGGER events_refuse_update")
    lived.connection.execute("UPDATE events SET hash = x'00' WHERE version = ?", (EVERY,))

    assert not is_believed(lived, statements)


def test_one_that_was_ignored_is_made_anew(lived: Store, statements: list[str]) -> None:
    lived.connection.execute("UPDATE snapshots SET data = x'', version = version + 1000")
    record(lived, *[failed()] * EVERY)

    statements.clear()
    read_recent_outcomes(lived.connection, INSTALLATION_ID)
    assert f"max({2 * EVERY + 3}," in statements[-1]


def test_a_stream_of_many_events_is_read_from_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_SNAPSHOT_EVERY", 1_000_000)
    register(store)
    record(store, *[failed()] * 3000)
    seen: list[Any] = []
    store.connection.set_progress_handler(lambda: seen.append(1), 1000)
    read_recent_outcomes(store.connection, INSTALLATION_ID)
    short = len(seen)
    record(store, *[failed()] * 9000)
    seen.clear()
    read_recent_outcomes(store.connection, INSTALLATION_ID)

    assert len(seen) <= short + 1


def test_a_database_of_before_there_were_snapshots_is_migrated(home: Home) -> None:
    with Store(home.database) as store:
        register(store)
        record(store, *[failed()] * EVERY)
        expected = read_recent_outcomes(store.connection, INSTALLATION_ID)
        # What the first schema had: everything but this.
        for table in ("snapshots", "at_work"):
            store.connection.execute(f"DROP TABLE {table}")
        store.connection.execute("DELETE FROM _sqlite_migrations WHERE name LIKE '0002%'")
        store.connection.execute("PRAGMA user_version = 1")

    reader = open_database(home.database, is_writer=False)
    found = read_recent_outcomes(reader, INSTALLATION_ID)
    reader.close()
    with Store(home.database) as store:
        record(store, *[failed()] * EVERY)

        assert found == expected
        assert versions(store) == [2 * EVERY + 1]


HISTORY: dict[str, Event] = {
    **{
        name: event
        for name, event in EVENTS.items()
        if name not in ("frozen", "thawed", "disabled", "removed", "created")
    },
    "missed": DeliveryMissed("d-1", "metric_alert.critical", "2025-02-03T12:00:00.000000Z"),
    "enabled": InstallationEnabled(INSTALLATION_ID, "person:ada", ""),
}


@given(
    history=st.lists(st.tuples(st.sampled_from(sorted(HISTORY)), st.integers(0, 100)), max_size=60),
    every=st.integers(1, 9),
)
@settings(max_examples=60)
def test_with_and_without_a_snapshot_the_latest_outcomes_are_the_same(
    tmp_path_factory: Any, history: list[tuple[str, int]], every: int
) -> None:
    clock = ManualClock(START)
    with pytest.MonkeyPatch.context() as patch, Store(tmp_path_factory.mktemp("home") / "events.db", clock) as store:
        patch.setattr(snapshot, "_SNAPSHOT_EVERY", every)
        for module in (snapshot, recent_outcomes):
            patch.setattr(module, "LATEST_EVENTS", 20)
        patch.setattr(recent_outcomes, "_KEPT_OUTCOMES", 7)
        for name, seconds in history:
            clock.advance(seconds=seconds)
            with store.transaction() as transaction:
                transaction.append(NewEvent(installation_stream(INSTALLATION_ID), HISTORY[name]))

            assert read_recent_outcomes(store.connection, INSTALLATION_ID) == from_events(store)
