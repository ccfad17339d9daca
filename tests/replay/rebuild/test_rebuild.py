"""A rebuild brings live tables into step, all or none, changes no row that is right, and builds on no broken log."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventstore.errors import DamagedLogError, DatabaseError
from eventstore.events.catalogue import AttemptEvent
from eventstore.log.change_signal import change_version
from eventstore.projections.catalogue import PROJECTIONS
from replay.check import comparison
from replay.check.log_check import check_log
from replay.check.verification import verify
from replay.projecting.remake import ALL_NAMES
from replay.rebuild.rebuild import rebuild
from tests.eventstore.facts import failed, record, succeeded
from tests.eventstore.processes import at_once
from tests.replay.lived import Lived, Step, rebuilding_or_recording, steps, unguarded

TABLES = [table for projection in PROJECTIONS.values() for table in projection.tables]
DAMAGES = [
    *(f"DELETE FROM {table}" for table in TABLES),
    *(f"DROP TABLE {table}" for table in TABLES),
    "DELETE FROM queue WHERE state != 'waiting'",
    "UPDATE buffer SET success = success + 1, first_failure = NULL",
    "UPDATE buffer SET day = '2020-01-01' WHERE day = '2026-03-02'",
    "INSERT INTO buffer (installation_id, day) VALUES ('made up', '2026-03-01')",
    "UPDATE installations SET state = 'active', disabled_position = NULL",
    "UPDATE apps SET webhook_url = 'https://evil.example'",
    "UPDATE organizations SET owners = '[]'",
    "UPDATE fleet SET is_frozen = 1",
    "UPDATE request_log SET event_name = 'a.b', is_error = NOT is_error",
    "UPDATE audit SET actor = 'nobody', position = position + 1000",
    "UPDATE outbox SET state = 'sent'",
    "UPDATE queue SET state = 'dead' WHERE state = 'missed'",
]


def damage(lived: Lived, statement: str) -> None:
    assert lived.store.connection.execute(statement).rowcount != 0


def recorded(lived: Lived, *events: AttemptEvent) -> None:
    record(lived.store, *events)


def dump(lived: Lived) -> list[str]:
    """Return all that the database holds, except for what tells a daemon to look again."""
    return sorted(line for line in lived.store.connection.iterdump() if '"attention"' not in line)


@pytest.mark.parametrize("statement", DAMAGES)
def test_whatever_was_done_to_a_live_table_is_undone(lived: Lived, statement: str) -> None:
    # What a table of the queue has lost of payloads does not come back: it starts without any.
    lived.clock.advance(days=2)
    lived.expire()
    before = dump(lived)
    damage(lived, statement)
    assert dump(lived) != before

    rebuilt = rebuild(lived.database, is_checked="audit" not in statement)

    assert verify(lived.database).differences == ()
    assert [line for line in dump(lived) if "sqlite_sequence" not in line and '"queue"' not in line] == [
        line for line in before if "sqlite_sequence" not in line and '"queue"' not in line
    ]
    assert len(rebuilt.repaired) == 1
    assert rebuilt.lock_s > 0


@given(history=steps, statements=st.lists(st.sampled_from([one for one in DAMAGES if "audit" not in one]), max_size=4))
@settings(max_examples=25)
def test_after_any_history_and_any_damages_a_rebuild_is_in_step_and_a_second_changes_nothing(
    tmp_path_factory: Any, history: list[Step], statements: list[str]
) -> None:
    with Lived(tmp_path_factory.mktemp("home") / "events.db") as lived:
        lived.live(history)
        for statement in statements:
            try:
                lived.store.connection.execute(statement)
            except Exception:  # noqa: BLE001 - the damages before have left it nothing to do
                continue

        rebuild(lived.database)
        again = rebuild(lived.database)

        assert verify(lived.database).differences == ()
        assert (again.repaired, again.lock_s) == ((), 0.0)


def test_rows_that_are_right_are_not_touched(lived: Lived) -> None:
    connection = lived.store.connection
    damage(lived, "UPDATE buffer SET timeout = 7 WHERE day = '2026-03-02'")
    connection.execute("CREATE TABLE touched (day TEXT)")
    for verb, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
        connection.execute(
            f"CREATE TRIGGER touched_by_{verb} AFTER {verb} ON buffer BEGIN INSERT INTO touched VALUES ({row}.day); END"
        )

    (repaired,) = rebuild(lived.database).repaired

    assert (repaired.table, repaired.inserted, repaired.updated, repaired.deleted) == ("buffer", 0, 1, 0)
    assert connection.execute("SELECT DISTINCT day FROM touched").fetchall() == [("2026-03-02",)]


def test_a_daemon_is_told_to_look_again_only_where_something_was_mended(lived: Lived) -> None:
    before = change_version(lived.store.connection)
    rebuild(lived.database)
    idle = change_version(lived.store.connection)
    damage(lived, "DELETE FROM buffer")
    rebuild(lived.database)

    assert (idle, change_version(lived.store.connection)) == (before, before + 1)


def test_only_what_is_asked_for_is_mended(lived: Lived) -> None:
    damage(lived, "DELETE FROM buffer")
    damage(lived, "DELETE FROM audit")

    rebuilt = rebuild(lived.database, ("audit",))

    assert [one.table for one in rebuilt.repaired] == ["audit"]
    assert rebuilt.waiting is None
    assert set(verify(lived.database).counts) == {"buffer"}


def test_each_kind_of_mending_is_counted(lived: Lived) -> None:
    damage(lived, "UPDATE buffer SET timeout = 7 WHERE day = '2026-03-01'")
    damage(lived, "DELETE FROM buffer WHERE day = '2026-03-02'")
    damage(lived, "INSERT INTO buffer (installation_id, day) VALUES ('x', '2026-03-01'), ('y', '2026-03-01')")

    (repaired,) = rebuild(lived.database).repaired

    assert (repaired.inserted, repaired.updated, repaired.deleted, repaired.rows) == (1, 2, 2, 5)


# --- while others write ---


def test_what_is_recorded_while_it_reads_checks_and_waits_for_the_lock_is_not_lost(lived: Lived) -> None:
    damage(lived, "DELETE FROM buffer")
    damage(lived, "DELETE FROM request_log")
    count = 0

    def meanwhile(_count: int) -> None:
        nonlocal count
        if count < 3:
            count += 1
            record(lived.store, failed(), succeeded())

    rebuilt = rebuild(lived.database, advance=meanwhile, advance_check=meanwhile)

    assert count == 3
    assert rebuilt.up_to_position == lived.store.connection.execute("SELECT max(position) FROM events").fetchone()[0]
    assert verify(lived.database).differences == ()


def test_what_live_handlers_make_of_a_damaged_table_in_the_meantime_is_mended_too(lived: Lived) -> None:
    """By a fleet that is wrongly frozen a live handler counts no failure, in a buffer that was in step before."""
    damage(lived, "UPDATE fleet SET is_frozen = 1")

    rebuilt = rebuild(lived.database, advance_check=lambda _count: recorded(lived, failed()))

    assert {one.table for one in rebuilt.repaired} == {"fleet", "buffer"}
    assert verify(lived.database).differences == ()


def test_rows_that_a_damaged_request_log_keeps_in_the_meantime_go(lived: Lived) -> None:
    record(lived.store, *[succeeded()] * 300)
    damage(lived, "DELETE FROM request_log WHERE position > 290")

    rebuild(lived.database, advance_check=lambda _count: recorded(lived, *[succeeded()] * 130))

    assert verify(lived.database).differences == ()


def test_processes_that_rebuild_and_record_at_once_are_in_step_in_the_end(lived: Lived) -> None:
    damage(lived, "DELETE FROM buffer")

    assert at_once(rebuilding_or_recording, lived.database, 15, count=3) == ["done"] * 3

    rebuild(lived.database)
    assert verify(lived.database).differences == ()


def test_a_rebuild_that_fails_in_the_middle_leaves_the_live_tables_as_they_were(
    lived: Lived, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(lived, "DELETE FROM buffer")
    damage(lived, "DELETE FROM audit")
    before = dump(lived)
    repair = comparison.repair

    def failing(connection: Any, table: Any) -> Any:
        if table.name == "audit":
            raise OSError("no more")
        return repair(connection, table)

    monkeypatch.setattr("replay.rebuild.rebuild.repair", failing)

    with pytest.raises(OSError, match="no more"):
        rebuild(lived.database)

    assert dump(lived) == before
    record(lived.store, succeeded())


# --- a log that is damaged ---

CHANGED = "UPDATE events SET data = replace(data, 'server_error', 'client_error') WHERE position = 8"


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (CHANGED, "event 8 does not follow from event 7: one of the two was changed"),
        ("UPDATE events SET recorded_at = '2020' WHERE position = 8", "event 8 does not follow from event 7"),
        ("DELETE FROM events WHERE position = 8", "event 8 is missing"),
        ("UPDATE events SET data = '{' WHERE position = 8", "event 8: the data of this delivery.failed"),
        ("DELETE FROM events WHERE position > 20", "the log ends at event 20, and "),
    ],
)
def test_nothing_is_changed_on_a_log_that_is_damaged(lived: Lived, statement: str, text: str) -> None:
    damage(lived, "DELETE FROM buffer")
    with unguarded(lived.database) as connection:
        connection.execute(statement)
    before = dump(lived)

    with pytest.raises(DamagedLogError) as error:
        rebuild(lived.database)

    assert str(error.value).startswith(text)
    assert dump(lived) == before


def test_how_many_faults_there_are_is_said_with_the_first(lived: Lived) -> None:
    damage(lived, "DELETE FROM buffer")
    with unguarded(lived.database) as connection:
        connection.execute("UPDATE events SET recorded_at = '2020' WHERE position IN (8, 11)")

    with pytest.raises(DamagedLogError, match=r"event 8 .* \(and 1 more\)$"):
        rebuild(lived.database)


def test_unchecked_it_mends_by_what_can_be_read(lived: Lived) -> None:
    damage(lived, "DELETE FROM buffer")
    with unguarded(lived.database) as connection:
        connection.execute(CHANGED)

    rebuild(lived.database, is_checked=False)

    assert verify(lived.database).differences == ()
    assert check_log(lived.database).count == 1


@pytest.mark.parametrize("statement", ["DELETE FROM events WHERE position = 8", "UPDATE events SET data = '{'"])
def test_unchecked_too_it_builds_on_no_log_that_it_cannot_read(lived: Lived, statement: str) -> None:
    damage(lived, "DELETE FROM buffer")
    with unguarded(lived.database) as connection:
        connection.execute(statement)

    with pytest.raises(DamagedLogError):
        rebuild(lived.database, is_checked=False)

    assert lived.store.connection.execute("SELECT count(*) FROM buffer").fetchone() == (0,)


def test_unchecked_what_cannot_be_read_does_not_concern_those_that_do_not_follow_it(lived: Lived) -> None:
    damage(lived, "DELETE FROM buffer")
    with unguarded(lived.database) as connection:
        connection.execute("UPDATE events SET data = '{' WHERE type = 'mail.requested'")

    rebuilt = rebuild(lived.database, ("buffer",), is_checked=False)

    assert [one.table for one in rebuilt.repaired] == ["buffer"]


def test_a_log_that_holds_is_not_asked_about_when_nothing_differs(lived: Lived) -> None:
    """The chain is checked for the sake of what would be changed; `verify --log` checks it in any case."""
    with unguarded(lived.database) as connection:
        connection.execute("UPDATE events SET hash = x'00' WHERE position = 8")

    assert rebuild(lived.database).repaired == ()


# --- databases that are none ---


@pytest.mark.parametrize("content", ["", "a shopping list, and not a database at all\n" * 100])
def test_a_file_that_is_no_database_is_an_error_or_an_empty_home(tmp_path: Path, content: str) -> None:
    (tmp_path / "events.db").write_text(content)

    if content:
        with pytest.raises(DatabaseError, match="not a SQLite database"):
            rebuild(tmp_path / "events.db")
    else:
        assert rebuild(tmp_path / "events.db").up_to_position == 0


def test_names_are_those_of_the_projections_and_the_ledger() -> None:
    assert set(ALL_NAMES) == {"buffer", "requests", "failures", "audit", "registry", "outbox", "ledger"}
