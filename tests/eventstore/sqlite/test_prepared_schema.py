"""What tests open instead of a database that was migrated is one that was migrated, except for the time that takes."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from eventstore.integrity.whole_check import _parts
from eventstore.sqlite import migrations
from tests import prepared_schema

_CHANCE = {"database_id", "_sqlite_migrations"}  # an id, and when each migration was applied


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[sqlite3.Connection, sqlite3.Connection]]:
    """Return two empty databases."""
    with (
        closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as one,
        closing(sqlite3.connect(tmp_path / "b.db", isolation_level=None)) as other,
    ):
        yield one, other


def _all(connection: sqlite3.Connection) -> dict[str, object]:
    schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
    tables = [name for kind, name, *_ in schema if kind == "table"]
    pragmas = ("application_id", "user_version", "integrity_check", "foreign_key_check")
    return {
        "schema": schema,
        **{name: connection.execute(f"PRAGMA {name}").fetchall() for name in pragmas},
        **{f"columns of {table}": connection.execute(f"PRAGMA table_xinfo({table})").fetchall() for table in tables},
        **{table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables if table not in _CHANCE},
        "applied": connection.execute("SELECT migration_set, name FROM _sqlite_migrations").fetchall(),
    }


@pytest.mark.parametrize("version", range(1, migrations.SCHEMA_VERSION + 1))
def test_a_new_database_of_the_tests_is_what_the_migrations_make(
    both: tuple[sqlite3.Connection, sqlite3.Connection], version: int
) -> None:
    migrated, prepared = both
    prepared_schema.migrate_for_real(migrated, migrations._MIGRATIONS[:version])
    prepared_schema._apply_prepared(prepared, migrations._MIGRATIONS[:version])

    assert _all(prepared) == _all(migrated)


def test_an_older_one_is_migrated_from_where_it_is(both: tuple[sqlite3.Connection, sqlite3.Connection]) -> None:
    migrated, prepared = both
    for connection in both:
        prepared_schema.migrate_for_real(connection, migrations._MIGRATIONS[:5])
    prepared_schema.migrate_for_real(migrated)
    prepared_schema._apply_prepared(prepared)

    assert _all(prepared) == _all(migrated)


def test_no_two_new_ones_have_the_same_id(both: tuple[sqlite3.Connection, sqlite3.Connection]) -> None:
    ids = set()
    for connection in both:
        prepared_schema._apply_prepared(connection)
        ids.add(connection.execute("SELECT id FROM database_id").fetchone())

    assert len(ids) == 2


@pytest.mark.parametrize("version", range(1, migrations.SCHEMA_VERSION + 1))
def test_the_parts_to_compare_with_are_those_that_the_migrations_make(version: int) -> None:
    with (
        closing(sqlite3.connect(":memory:", isolation_level=None)) as migrated,
        closing(sqlite3.connect(":memory:", isolation_level=None)) as compared,
    ):
        prepared_schema.migrate_for_real(migrated, migrations._MIGRATIONS[:version])
        migrations.schema_of(compared, version)

        assert _parts(compared).keys() == _parts(migrated).keys()
        assert {name for name, sql in _parts(compared).items() if sql != _parts(migrated)[name]} <= {
            ("index", "idx__sqlite_migrations_migration_set_name"),
            ("table", "_sqlite_migrations"),
        }
