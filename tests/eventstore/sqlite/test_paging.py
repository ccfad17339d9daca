"""Whoever reads the log and takes his time keeps nobody from putting the WAL back into the database."""

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.events.catalogue import MailSent
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent, last_position, read_events
from eventstore.sqlite import paging
from eventstore.sqlite.database import WAL_LIMIT_BYTES, open_database, wal_bytes
from eventstore.sqlite.paging import read_paged
from eventstore.transfer.event_export import ExportFilter, export_lines
from eventstore.unit_of_work import Store
from replay.reading.raw_events import read_raw_events

_READERS: dict[str, Callable[[sqlite3.Connection], Iterator[object]]] = {
    "read_events": read_events,
    "read_events of a stream": lambda connection: read_events(connection, stream="a"),
    "read_events, the newest first": lambda connection: read_events(connection, is_newest_first=True),
    "export_lines": lambda connection: export_lines(connection, ExportFilter()),
    "export_lines of a stream": lambda connection: export_lines(connection, ExportFilter(stream="a")),
    "read_raw_events": lambda connection: read_raw_events(connection, batch_events=3),
}


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "_PAGE_ROWS", 3)


def _append(store: Store, *streams: str) -> None:
    with store.transaction() as transaction:
        transaction.append(*(NewEvent(stream, MailSent("m", 1)) for stream in streams))


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("name", _READERS)
def test_the_wal_can_be_put_back_while_somebody_is_in_the_middle_of_reading(
    store: Store, home: Home, name: str
) -> None:
    _append(store, *["a"] * 10)
    reader = open_database(home.database, is_writer=False)
    found = _READERS[name](reader)
    next(found)
    _append(store, *["a"] * 10)

    busy, _, _ = store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    assert (busy, wal_bytes(home.database)) == (0, 0)
    assert list(found)
    reader.close()


@pytest.mark.usefixtures("small_pages")
def test_an_export_ends_where_the_log_ended_when_it_began(store: Store) -> None:
    _append(store, *["a"] * 7)
    lines = export_lines(store.connection, ExportFilter())
    first = next(lines)
    _append(store, *["a"] * 7)

    assert [first.position, *(line.position for line in lines)] == list(range(1, 8))


@given(data=st.data())
def test_pages_give_what_one_statement_gives(data: st.DataObject) -> None:
    streams = data.draw(st.lists(st.sampled_from("abc"), max_size=30))
    stream = data.draw(st.sampled_from([None, *"abc"]))
    is_newest_first, is_sparse = data.draw(st.booleans()), data.draw(st.booleans())
    after, up_to = data.draw(st.integers(0, 5)), data.draw(st.sampled_from([None, 0, 7, 20]))
    limit = data.draw(st.sampled_from([None, -1, 0, 1, 3, 4, 100]))
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE events (position INTEGER PRIMARY KEY, stream TEXT, version INTEGER)")
    rows = [(number, name, streams[:number].count(name)) for number, name in enumerate(streams, start=1)]
    connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
    conditions: dict[str, Any] = {"stream = ?": [stream]} if stream else {}
    conditions |= {"version % ?": [2]} if is_sparse else {}
    expected = [
        row
        for row in rows
        if after < row[0] <= (100 if up_to is None else up_to)
        and stream in (None, row[1])
        and (row[2] % 2 or not is_sparse)
    ]
    expected = (expected[::-1] if is_newest_first else expected)[: limit if limit is not None and limit >= 0 else None]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "_PAGE_ROWS", data.draw(st.integers(1, 7)))
        patch.setattr(paging, "_RANGE_ROWS", data.draw(st.integers(1, 7)))
        found = read_paged(
            connection,
            "position, stream, version",
            conditions,
            after_position=after,
            up_to_position=up_to,
            is_of_one_stream=stream is not None,
            is_newest_first=is_newest_first,
            limit=limit,
        )
        assert list(found) == expected
    connection.close()


def _fill(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE filler (content BLOB)")
    connection.execute("INSERT INTO filler VALUES (zeroblob(?))", (WAL_LIMIT_BYTES + 4_000_000,))


def test_a_wal_that_grew_while_somebody_read_is_cut_once_nobody_does(store: Store, home: Home) -> None:
    reader = open_database(home.database, is_writer=False)
    reader.execute("BEGIN")
    last_position(reader)
    _fill(store.connection)
    grown = wal_bytes(home.database)
    is_small_beside_a_reader = store.trim_wal()
    reader.rollback()

    assert grown > WAL_LIMIT_BYTES
    assert (is_small_beside_a_reader, store.trim_wal(), wal_bytes(home.database)) == (False, True, 0)
    assert store.connection.execute("PRAGMA busy_timeout").fetchone() == (30_000,)
    reader.close()


def test_a_commit_cuts_it_too(store: Store, home: Home) -> None:
    _fill(store.connection)
    grown = wal_bytes(home.database)
    store.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    _append(store, "a")  # begins the WAL again

    assert grown > WAL_LIMIT_BYTES
    assert wal_bytes(home.database) <= WAL_LIMIT_BYTES


def test_where_there_is_no_wal_there_is_nothing_to_cut(tmp_path: Path) -> None:
    assert wal_bytes(tmp_path / "events.db") == 0
