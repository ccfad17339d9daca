from contextlib import closing
from pathlib import Path

import pytest

from eventstore.sqlite.database import open_database
from eventstore.sqlite.migrations import SCHEMA_VERSION
from replay.check.log_check import check_log
from replay.check.verification import verify
from tests.fixtures.homes import SCHEMAS, put_home


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_home_of_before_opens_and_its_tables_follow_from_its_events(schema: int, tmp_path: Path) -> None:
    database = put_home(schema, tmp_path / "home") / "events.db"
    with closing(open_database(database, is_writer=True)) as connection:
        (found,) = connection.execute("PRAGMA user_version").fetchone()
        (packed,) = connection.execute("SELECT count(*) FROM parcels").fetchone()
        (waiting,) = connection.execute("SELECT count(*) FROM queue WHERE state = 'waiting'").fetchone()

    assert found == SCHEMA_VERSION
    assert (packed > 0, waiting > 1_000) == (schema >= 7, schema < 7)
    assert check_log(database).count == 0
    assert verify(database).counts == {}
