"""A bit that flips in the database is found by doctor, or changes nothing that is recorded, queued or signed with."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from console.doctor.checkup import check_home
from console.shell.session import Session
from eventstore.backup.copy import back_up, open_copy
from eventstore.deliveries.producer import Producer
from eventstore.errors import DatabaseError, EventStoreError
from eventstore.home.folder import Home
from eventstore.queue.delivery import NewDelivery
from eventstore.sqlite.migrations import schema_of
from replay.check.damage import check_rows
from tests.console.conftest import PAGER, World

_FLIPS = 6
# Words for a person, or what spares reading: the same is sent to whom it was, and evaluated as it was.
_HARMLESS = {
    "queue": ("last_error", "attempts"),
    "snapshots": ("version", "schema", "checksum", "data"),
    "at_work": ("failing_since",),
    "attention": ("version",),
    "clock": ("moment", "boot_id", "uptime_s", "doubted_ahead_s", "doubted_ran_s"),
    "_sqlite_migrations": ("id", "migration_set", "name", "applied_at"),
}


def _objects() -> list[str]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema_of(connection, 99)
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE rootpage > 0 ORDER BY name").fetchall()
    return [name for (name,) in rows]


@pytest.fixture
def lived(world: World) -> World:
    with Producer(world.home, world.clock) as producer:
        producer.send([NewDelivery(PAGER, "issue.created", f'{{"n":{n}}}', None, "key", f"{n}") for n in range(20)])
        producer.send([NewDelivery(PAGER, "issue.created", f'{{"n":{n}}}') for n in range(70)])
    return world


def _content(database: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        found = {}
        for (raw,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
        ).fetchall():
            table = raw.decode()
            columns = [row[1].decode() for row in connection.execute(f"PRAGMA table_info({table})")]
            wanted = [name for name in columns if name not in _HARMLESS.get(table, ())] or ["NULL"]
            found[table] = connection.execute(f"SELECT {', '.join(wanted)} FROM {table}").fetchall()
        return found


def _faults(world: World, home: Home) -> list[str]:
    found = check_home(Session(home, world.clock), lambda _configuration, _connection: ())
    subjects = ("database", "payloads", "projections", "commits", "secrets")
    return [one.text for one in found if one.level == "fault" and one.subject in subjects]


def _said_by_backup(home: Home, copy: Path) -> list[str]:
    try:
        back_up(home, copy)
    except (DatabaseError, sqlite3.Error) as error:
        return [str(error)]
    with closing(open_copy(copy)) as connection:
        return [one.text for one in check_rows(copy, connection, is_copy=True) if one.level == "fault"]


def _is_unreadable_or_other(database: Path, before: dict[str, list[tuple[Any, ...]]]) -> bool:
    try:
        return _content(database) != before
    except sqlite3.Error:
        return True


@pytest.mark.parametrize("name", _objects())
def test_a_bit_that_flips_in_a_table_or_an_index_is_found_or_is_harmless(
    name: str, lived: World, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(lived.home.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        pages = connection.execute("SELECT pgoffset, pgsize FROM dbstat WHERE name = ?", (name,)).fetchall()
    before, chance = _content(lived.home.database), random.Random(name)
    # What this home has been given by hand follows from no event: a flip must add to what is said of that.
    said_before = _faults(lived, lived.home)
    copied_before = _said_by_backup(lived.home, tmp_path / "copy.db")
    for flip in range(_FLIPS):
        offset, size = chance.choice(pages)
        # Cells lie at a page's end, its header and their places at its beginning.
        byte = offset + (
            chance.randrange(min(size, 40)) if flip % 3 == 0 else size - 1 - chance.randrange(min(size, 600))
        )
        home = Home(tmp_path / f"flipped-{flip}")
        shutil.copytree(lived.home.path, home.path)
        data = bytearray(home.database.read_bytes())
        data[byte] ^= 1 << chance.randrange(8)
        home.database.write_bytes(data)

        is_found = _faults(lived, home) != said_before
        assert is_found == (_said_by_backup(home, tmp_path / f"copy-{flip}.db") != copied_before)
        if not is_found:
            assert not _is_unreadable_or_other(home.database, before), f"silent: byte {byte}, page of {name}"


@pytest.mark.parametrize("seed", range(8))
def test_a_bit_that_flips_in_the_wal_is_found_by_everybody_or_is_harmless(
    seed: int, world: World, tmp_path: Path
) -> None:
    home = Home(tmp_path / "flipped")
    with Producer(world.home, world.clock) as producer:
        for number in range(10):
            producer.send([NewDelivery(PAGER, "issue.created", f'{{"n":{number}}}')])
        shutil.copytree(world.home.path, home.path, ignore=shutil.ignore_patterns("events.db-shm"))
    before, chance = _content(world.home.database), random.Random(seed)
    wal = home.path / "events.db-wal"
    data = bytearray(wal.read_bytes())
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    wal.write_bytes(data)

    def refused() -> bool:
        try:
            back_up(home, tmp_path / "copy.db")
            Producer(home, world.clock).close()
        except DatabaseError:
            return True
        return False

    said_before = _faults(world, world.home)
    if refused():
        assert _faults(world, home) != said_before
    else:
        assert not _is_unreadable_or_other(home.database, before)


def test_the_objects_that_are_flipped_are_all_there_are(lived: World) -> None:
    with closing(sqlite3.connect(lived.home.database)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_schema WHERE rootpage > 0").fetchall()

    assert {name for (name,) in rows} == set(_objects())
    assert issubclass(DatabaseError, EventStoreError)
