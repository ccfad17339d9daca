import json
import sqlite3
import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from eventstore.common.identifiers import app_stream, installation_stream
from eventstore.errors import DamagedLogError
from eventstore.events.catalogue import MailSent
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent
from eventstore.sqlite.database import open_database
from eventstore.transfer.event_export import ExportFilter, export_lines
from eventstore.transfer.event_line import read_event_line, write_event_line
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, failed, record, register, rows_of, succeeded, timed_out

ROWS = "SELECT position, stream, version, type, schema, recorded_at, data, lower(hex(hash)) FROM events"

THE_FOURTH = datetime(2025, 2, 4, tzinfo=UTC)
THE_FOURTH_AT_NOON = THE_FOURTH + timedelta(hours=12)


@pytest.fixture
def connection(store: Store, home: Home) -> Iterator[sqlite3.Connection]:
    """A reading connection to a log of eleven events over three days."""
    register(store)
    for _ in range(2):
        record(store, succeeded(), failed(), timed_out(), failed(response_body='é "\n\x00\u2028'))
        store.clock.advance(days=1)  # type: ignore[attr-defined]
    with closing(open_database(home.database, is_writer=False)) as connection:
        yield connection


def positions(connection: sqlite3.Connection, wanted: ExportFilter) -> list[int]:
    return [exported.position for exported in export_lines(connection, wanted)]


def test_a_line_holds_the_event_as_it_is_stored(connection: sqlite3.Connection, home: Home) -> None:
    lines = [exported.line for exported in export_lines(connection, ExportFilter())]

    assert [line.count(b"\n") for line in lines] == [1] * 11
    for line, row in zip(lines, rows_of(home.database, ROWS), strict=True):
        assert list(json.loads(line)) == [
            *("position", "stream", "version", "type", "schema", "recorded_at", "data", "hash")
        ]
        found = read_event_line(line)
        assert (*[getattr(found, name) for name in found.__struct_fields__],) == (*row[:6], found.data, row[7])
        assert bytes(found.data).decode() == row[6]
        assert write_event_line(found) == line


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ExportFilter(), list(range(1, 12))),
        (ExportFilter(after_position=9), [10, 11]),
        (ExportFilter(after_position=99), []),
        (ExportFilter(stream=app_stream(42)), [2]),
        (ExportFilter(stream=installation_stream(INSTALLATION_ID), after_position=6), [7, 8, 9, 10, 11]),
        (ExportFilter(type_names=("delivery.succeeded", "delivery.timed_out")), [4, 6, 8, 10]),
        (ExportFilter(since=THE_FOURTH_AT_NOON), [8, 9, 10, 11]),
        (ExportFilter(until=THE_FOURTH_AT_NOON, after_position=5), [6, 7]),
        (
            ExportFilter(type_names=("delivery.failed",), since=THE_FOURTH, until=THE_FOURTH + timedelta(days=1)),
            [9, 11],
        ),
    ],
)
def test_what_is_wanted_is_given_and_nothing_else(
    connection: sqlite3.Connection, wanted: ExportFilter, found: list[int]
) -> None:
    assert positions(connection, wanted) == found


def test_what_comes_while_it_is_exported_is_not_in_it(connection: sqlite3.Connection, store: Store) -> None:
    connection.execute("BEGIN")
    exported = export_lines(connection, ExportFilter())
    next(exported)
    record(store, succeeded())

    assert len(list(exported)) == 10


def test_an_event_that_only_a_newer_hookfuse_can_read_goes_out_too(
    connection: sqlite3.Connection, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eventstore.events.event.EVENT_CLASSES", {})  # only this test knows it

    class Later(MailSent, frozen=True, omit_defaults=True):
        type_name = "delivery.beamed"
        schema = 7

    with store.transaction() as transaction:
        transaction.append(NewEvent("mails", Later("m", 1)))

    (exported,) = export_lines(connection, ExportFilter(after_position=11))
    assert (read_event_line(exported.line).type, read_event_line(exported.line).schema) == ("delivery.beamed", 7)


@pytest.mark.parametrize(
    ("damage", "after_position", "fault"),
    [
        ("UPDATE events SET data = replace(data, 'd-1', 'd-2') WHERE position = 5", 0, "position 5: its hash"),
        ("UPDATE events SET data = replace(data, 'd-1', 'd-2') WHERE position = 5", 4, "position 5: its hash"),
        ("UPDATE events SET hash = zeroblob(16) WHERE position = 1", 0, "position 1: its hash"),
        ("DELETE FROM events WHERE position = 7", 0, "position 8: event 7 is not there"),
        ("DELETE FROM events WHERE position = 7", 6, "position 8: event 7 is not there"),
    ],
)
def test_a_damaged_log_is_named_by_position_and_not_exported_as_if_it_were_whole(
    connection: sqlite3.Connection, store: Store, damage: str, after_position: int, fault: str
) -> None:
    for name in ("update", "delete"):
        store.connection.execute(f"DROP TRIGGER events_refuse_{name}")
    store.connection.execute(damage)

    with pytest.raises(DamagedLogError, match=fault):
        positions(connection, ExportFilter(after_position=after_position))


def test_memory_does_not_grow_with_the_number_of_events(connection: sqlite3.Connection, store: Store) -> None:
    def peak_bytes() -> int:
        tracemalloc.start()
        try:
            count = sum(1 for _ in export_lines(connection, ExportFilter()))
            assert count == store.connection.execute("SELECT count(*) FROM events").fetchone()[0]
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few = peak_bytes()
    record(store, *[failed(response_body="x" * 1000)] * 3000)

    assert peak_bytes() < few + 200_000
