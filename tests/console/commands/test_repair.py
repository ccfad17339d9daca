"""Ways on with a database that is damaged, or lacks commits: what they do, say and end with."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from console.shell.exit_codes import ExitCode
from eventstore.backup.copy import back_up
from eventstore.deliveries.producer import Producer
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import unpack
from eventstore.queue.packed_batches import damaged_packed_batch_texts
from tests.console.conftest import PAGER, Hookfuse, World

_WHY = ("--reason", "no backup", "--by", "ann")


def _audit(hookfuse: Hookfuse) -> dict[str, Any]:
    newest: dict[str, Any] = hookfuse("audit", "--json").json[0]
    return newest


def _damage_an_index(world: World) -> None:
    """Make an index differ from its table: it stays one of these columns, of fewer rows."""
    with closing(sqlite3.connect(world.home.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        name = "queue_by_installation"
        (sql,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = ?", (name,)).fetchone()
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (f"{sql} WHERE 0", name))
    with closing(sqlite3.connect(world.home.database, isolation_level=None)) as connection:
        connection.execute("REINDEX queue_by_installation")
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = ?", (sql, name))


def _lose_commits(world: World, tmp_path: Path) -> None:
    """Put an older copy in the place of the database, which has three deliveries less."""
    back_up(world.home, tmp_path / "older.db")
    with Producer(world.home, world.clock) as producer:
        producer.send([NewDelivery(PAGER, "issue.created", "{}")] * 3)
    for path in world.home.path.glob("events.db-[sw]*"):
        path.unlink()
    shutil.copy(tmp_path / "older.db", world.home.database)


def _set_a_packed_batch_aside(world: World) -> None:
    with Producer(world.home, world.clock) as producer:
        producer.send([NewDelivery(PAGER, "issue.created", "{}")] * 64)
    with world.store() as store, store.transaction() as transaction:
        connection = transaction.connection
        (first,) = connection.execute("UPDATE parcels SET checksum = checksum + 1 RETURNING first_sequence").fetchone()
        unpack(connection, first)


def _damaged_packed_batches(world: World) -> int:
    """Count what doctor names."""
    with world.store() as store:
        return len(damaged_packed_batch_texts(store.connection))


# --- reindex ---


def test_reindex_mends_what_the_start_and_backup_refuse(hookfuse: Hookfuse, world: World, tmp_path: Path) -> None:
    before = hookfuse("backup", tmp_path / "before.db").code
    _damage_an_index(world)
    refused = hookfuse("backup", tmp_path / "copy.db")
    repaired = hookfuse("reindex")

    assert refused.code == ExitCode.DATABASE
    assert "hookfuse reindex" in refused.err
    assert (repaired.code, repaired.err) == (ExitCode.OK, "")
    assert repaired.out.startswith("rebuilt all indexes; the database is intact, and holds ")
    assert hookfuse("backup", tmp_path / "copy.db").code == before


def test_reindex_tells_programs_how_many_events_there_are(hookfuse: Hookfuse, world: World) -> None:
    ended = hookfuse("reindex", "--json")

    with world.store() as store:
        (events,) = store.connection.execute("SELECT count(*) FROM events").fetchone()
    assert ended.json == {"database": str(world.home.database), "events": events}


def test_reindex_says_what_it_does_not_mend(hookfuse: Hookfuse, world: World) -> None:
    with closing(sqlite3.connect(world.home.database, isolation_level=None)) as connection:
        ((trigger,),) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'events_refuse_update'")
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE events SET data = '{}' WHERE position = 2")
        connection.execute(trigger)
    ended = hookfuse("reindex")

    assert (ended.code, ended.out) == (ExitCode.DATABASE, "")
    assert ended.err.rstrip().endswith("reindex did not fix it: restore a backup")


@pytest.mark.parametrize("command", [("reindex",), ("accept-loss", *_WHY)])
def test_nothing_is_mended_beside_a_daemon(command: tuple[str, ...], hookfuse: Hookfuse, world: World) -> None:
    with world.home.ownership.held():
        ended = hookfuse(*command)

    assert (ended.code, ended.out) == (ExitCode.ALREADY_RUNNING, "")


@pytest.mark.parametrize("command", [("reindex",), ("accept-loss", *_WHY), ("forget-damaged", *_WHY)])
def test_a_home_that_there_is_not_is_not_made(command: tuple[str, ...], hookfuse: Hookfuse, tmp_path: Path) -> None:
    ended = hookfuse(*command, home=tmp_path / "nowhere")

    assert (ended.code, ended.out) == (ExitCode.HOME, "")
    assert not (tmp_path / "nowhere").exists()


# --- accept-loss ---


def test_accept_loss_says_what_is_given_up_and_opens_the_home_again(
    hookfuse: Hookfuse, world: World, tmp_path: Path
) -> None:
    _lose_commits(world, tmp_path)
    refused = hookfuse("send", "--installation", PAGER, "--event", "issue.created", "--data", "-", stdin="{}")
    accepted = hookfuse("accept-loss", *_WHY)
    again = hookfuse("accept-loss", *_WHY)
    sent = hookfuse("send", "--installation", PAGER, "--event", "issue.created", "--data", "-", stdin="{}")

    assert refused.code == ExitCode.DATABASE
    assert "lacks 3 deliveries that it had" in refused.err
    assert (accepted.code, accepted.err) == (ExitCode.OK, "")
    assert accepted.out.startswith("given up: 0 events, and 3 deliveries that were queued; left are ")
    assert (again.code, again.out) == (ExitCode.OK, "nothing is missing: nothing was changed\n")
    assert sent.code == ExitCode.OK
    assert (_audit(hookfuse)["event"], _audit(hookfuse)["actor"]) == ("home.accept-loss", "person:ann")


def test_accept_loss_tells_programs_the_numbers_before_and_after(
    hookfuse: Hookfuse, world: World, tmp_path: Path
) -> None:
    _lose_commits(world, tmp_path)
    accepted = hookfuse("accept-loss", *_WHY, "--json").json
    again = hookfuse("accept-loss", *_WHY, "--json").json

    assert accepted["before"]["deliveries"] - accepted["left"]["deliveries"] == 3
    assert accepted["before"]["events"] == accepted["left"]["events"]
    assert (accepted["is_changed"], accepted["is_other"]) == (True, False)
    assert again == {"is_changed": False, "before": None, "left": None, "is_other": False}


def test_accept_loss_makes_a_new_database_in_the_place_of_one_that_is_gone(hookfuse: Hookfuse, world: World) -> None:
    for path in world.home.path.glob("events.db*"):
        if path.name != "events.db-mark":
            path.unlink()
    accepted = hookfuse("accept-loss", *_WHY)

    assert accepted.code == ExitCode.OK
    assert accepted.out == "accepted as another database, with 0 events, and deliveries up to number 0\n"
    assert hookfuse("status").code == ExitCode.OK


# --- forget-damaged ---


def test_forget_damaged_lets_go_of_packed_batches_that_are_damaged_and_records_who_did(
    hookfuse: Hookfuse, world: World
) -> None:
    _set_a_packed_batch_aside(world)
    assert _damaged_packed_batches(world) == 1
    ended = hookfuse("forget-damaged", *_WHY)

    assert _damaged_packed_batches(world) == 0
    assert (ended.code, ended.out, ended.err) == (ExitCode.OK, "deleted 64 deliveries and 0 idempotency keys\n", "")
    assert (_audit(hookfuse)["event"], _audit(hookfuse)["actor"]) == ("home.forget-damaged", "person:ann")


def test_forget_damaged_counts_for_programs_and_records_nothing_where_there_is_nothing(
    hookfuse: Hookfuse, world: World
) -> None:
    _set_a_packed_batch_aside(world)

    assert hookfuse("forget-damaged", *_WHY, "--json").json == {"forgotten": 64, "forgotten_keys": 0}
    recorded = _audit(hookfuse)
    assert hookfuse("forget-damaged", *_WHY, "--json").json == {"forgotten": 0, "forgotten_keys": 0}
    assert _audit(hookfuse) == recorded


# --- files of the home's own ---


@pytest.mark.parametrize("command", [("app", "secret", "5"), ("events", "export")])
@pytest.mark.parametrize("name", ["events.db", "events.db-mark", "hookfuse.toml", "daemon.lock"])
def test_no_command_puts_a_file_over_the_homes_own_with_force_or_without(
    command: tuple[str, ...], name: str, hookfuse: Hookfuse, world: World
) -> None:
    own = world.home.path / name
    own.touch()
    before = own.read_bytes()

    for force in ((), ("--force",)):
        ended = hookfuse(*command, "--to", own, *force)
        assert (ended.code, ended.out) == (ExitCode.BAD_INPUT, "")
        assert ended.err.endswith(f"{own} is the home's own: name another file\n")
    assert own.read_bytes() == before


@pytest.mark.parametrize("command", [("app", "secret", "5"), ("events", "export")])
def test_a_file_that_is_not_the_homes_own_is_replaced_with_force_only(
    command: tuple[str, ...], hookfuse: Hookfuse, world: World
) -> None:
    mine = world.home.path / "mine"
    mine.write_text("before")

    refused = hookfuse(*command, "--to", mine)
    assert (refused.code, mine.read_text()) == (ExitCode.BAD_INPUT, "before")
    assert hookfuse(*command, "--to", mine, "--force").code == ExitCode.OK
    assert mine.read_text() != "before"
