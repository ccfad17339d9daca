"""Connections that are lent, and come back."""

import threading
from pathlib import Path
from typing import Any

import pytest

from eventstore.common.shortage import FILES
from eventstore.errors import DatabaseError, ShortageError
from eventstore.log.event_log import last_position
from eventstore.sqlite import reader_pool as readers_module
from eventstore.sqlite.reader_pool import Readers
from eventstore.unit_of_work import Store


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


def _be_short(*_: Any, **__: Any) -> None:
    raise ShortageError(FILES, "events.db: not opened")


def test_where_no_more_can_be_opened_whoever_asks_waits_for_one_that_comes_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = [row[2] for row in store.connection.execute("PRAGMA database_list")]
    readers = Readers(Path(path))
    is_asking, read = threading.Event(), []

    def ask(*_: Any, **__: Any) -> None:
        is_asking.set()
        _be_short()

    def read_one() -> None:
        with readers.borrow() as connection:
            read.append(last_position(connection))

    with readers.borrow():
        monkeypatch.setattr(readers_module, "open_database", ask)
        thread = threading.Thread(target=read_one)
        thread.start()
        assert is_asking.wait(60)
        assert read == []
    thread.join(60)

    assert read == [0]
    readers.close()


def test_where_none_could_ever_be_opened_nobody_waits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (path,) = [row[2] for row in store.connection.execute("PRAGMA database_list")]
    monkeypatch.setattr(readers_module, "open_database", _be_short)

    with pytest.raises(ShortageError), Readers(Path(path)).borrow():
        pass
