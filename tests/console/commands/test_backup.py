"""What `backup` and `restore` say of damage: a damaged file is refused, damaged rows are said."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from eventstore.deliveries.producer import Producer
from eventstore.queue.delivery import NewDelivery
from tests.console.conftest import PAGER, Hookfuse, World

_DAMAGE = [
    ("UPDATE queue SET data = '{\"n\":2}'", "payloads: "),
    ("UPDATE queue SET is_probe = 1", "payloads: "),
    (
        "UPDATE apps SET webhook_url = 'https://other.example'",
        "from what follows from the events, in apps",
    ),
]
_FOREIGN = [
    ("CREATE TRIGGER t AFTER INSERT ON events BEGIN UPDATE apps SET name = 'x'; END", "trigger t is foreign"),
    ("CREATE VIEW v AS SELECT client_secret FROM secrets", "view v is foreign"),
    ("CREATE INDEX i ON apps (name)", "index i is foreign"),
    ("CREATE TABLE t (a)", "table t is foreign"),
    ("DROP INDEX queue_by_installation", "index queue_by_installation is missing"),
]


def _change(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.fixture(autouse=True)
def _something_waits(world: World) -> None:
    with Producer(world.home, world.clock) as producer:
        producer.send([NewDelivery(PAGER, "issue.created", '{"n":1}')])


@pytest.mark.parametrize(("statement", "said"), _DAMAGE)
def test_a_copy_with_damaged_rows_is_made_and_put_back_and_both_say_so(
    statement: str, said: str, world: World, hookfuse: Hookfuse, tmp_path: Path
) -> None:
    _change(world.home.database, statement)
    backup = hookfuse("backup", tmp_path / "copy.db")
    looking = hookfuse("backup", "--without-secrets", tmp_path / "looking.db")
    restored = hookfuse("restore", tmp_path / "copy.db", home=tmp_path / "other")

    for done in (backup, looking, restored):
        assert done.code == 11
        assert said in done.err
    assert [path.name for path in tmp_path.glob("copy.db*")] == ["copy.db"]


@pytest.mark.parametrize(("statement", "said"), _FOREIGN)
def test_a_schema_that_is_not_ours_is_neither_copied_nor_restored_and_doctor_names_it(
    statement: str, said: str, world: World, hookfuse: Hookfuse, tmp_path: Path
) -> None:
    hookfuse("backup", tmp_path / "copy.db")
    _change(tmp_path / "copy.db", statement)
    restored = hookfuse("restore", tmp_path / "copy.db", home=tmp_path / "other")
    _change(world.home.database, statement)
    backup = hookfuse("backup", tmp_path / "second.db")

    assert (restored.code, backup.code) == (3, 7)
    assert said in restored.err
    assert said in backup.err
    assert not (tmp_path / "other" / "events.db").exists()
    assert not (tmp_path / "second.db").exists()


def test_a_damaged_log_is_not_copied_without_secrets_either(world: World, hookfuse: Hookfuse, tmp_path: Path) -> None:
    with closing(sqlite3.connect(world.home.database)) as connection:
        (guard,) = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'events_refuse_update'").fetchone()
        connection.execute("DROP TRIGGER events_refuse_update")
        connection.execute("UPDATE events SET recorded_at = '2020-01-01T00:00:00.000000Z' WHERE position = 2")
        connection.execute(guard)
        connection.commit()

    looking = hookfuse("backup", "--without-secrets", tmp_path / "looking.db")

    assert looking.code == 7
    assert "the log is damaged" in looking.err
    assert not (tmp_path / "looking.db").exists()
