"""Connections that are lent, and come back."""

from pathlib import Path

import pytest

from eventstore.errors import DatabaseError
from eventstore.log import last_position
from eventstore.readers import Readers
from eventstore.store import Store


def test_a_connection_that_came_back_is_lent_again(store: Store) -> None:
    (path,) = [row[2] for row in store.connection.execute("PRAGMA database_list")]
    readers = Readers(Path(path))
    with readers.borrow() as first:
        pass
    with readers.borrow() as second, readers.borrow() as third:
        assert second is first
        assert third is not first
    readers.close()


def test_one_that_is_lent_out_at_the_end_is_closed_when_it_comes_back(store: Store) -> None:
    (path,) = [row[2] for row in store.connection.execute("PRAGMA database_list")]
    readers = Readers(Path(path))
    with readers.borrow() as connection:
        readers.close()
        assert last_position(connection) == 0

    with pytest.raises(Exception, match="closed"):
        connection.execute("SELECT 1")


def test_no_database_is_made_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="it was removed, or never was"), Readers(tmp_path / "events.db").borrow():
        pass

    assert list(tmp_path.iterdir()) == []
