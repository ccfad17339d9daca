"""What a fold reads of the log without decoding it is what decoding would have given."""

import sqlite3
from pathlib import Path

import pytest

from benchmarks.history import Shape, write_history
from eventstore.errors import UnknownEventError
from eventstore.events.catalogue import AttemptEvent, DeliveryFailed, DeliverySucceeded
from eventstore.events.codec import encode_event
from eventstore.home.folder import Home
from eventstore.log.event_log import read_events
from eventstore.sqlite.database import open_database
from replay.reading.raw_events import attempt_facts, read_raw_events


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    home = Home(tmp_path / "home")
    write_history(home, Shape(events=500, installations=5, failing=0.4, days=3))
    return open_database(home.database, is_writer=False)


@pytest.mark.parametrize("batch_events", [1, 7, 500, 10_000])
def test_batches_hold_every_event_once_and_in_order(connection: sqlite3.Connection, batch_events: int) -> None:
    batches = list(read_raw_events(connection, batch_events=batch_events))
    stored = list(read_events(connection))

    assert all(0 < len(batch) <= batch_events for batch in batches)
    assert [
        (position, stream, type_name, at) for batch in batches for position, stream, type_name, _, at, _ in batch
    ] == [(one.position, one.stream, one.type, one.recorded_at) for one in stored]


def test_reading_begins_after_a_position(connection: sqlite3.Connection) -> None:
    assert [row[0] for batch in read_raw_events(connection, after_position=497) for row in batch] == [498, 499, 500]


def test_the_facts_of_an_attempt_are_those_of_its_event(connection: sqlite3.Connection) -> None:
    read = {row[0]: attempt_facts(row[2], row[3], row[5]) for batch in read_raw_events(connection) for row in batch}

    for stored in read_events(connection):
        if isinstance(stored.event, AttemptEvent):
            facts, event = read[stored.position], stored.event
            assert (facts.attempt, facts.error_class, facts.duration_ms) == (
                event.attempt,
                event.error_class,
                event.duration_ms,
            )


def test_what_a_body_says_is_not_taken_for_a_fact() -> None:
    body = '{"error_class":"gone","attempt":9}'
    event = DeliveryFailed("d", "e", 5, 17, 3, "u", error_class="server_error", response_body=body, detail=body)

    facts = attempt_facts(event.type_name, event.schema, encode_event(event))

    assert (facts.attempt, facts.error_class) == (3, "server_error")


@pytest.mark.parametrize(("schema", "data"), [(1, '{"attempt":'), (1, '{"attempt":"x"}'), (99, "{}"), (1, "")])
def test_an_attempt_that_cannot_be_read_is_an_error_and_no_guess(schema: int, data: str) -> None:
    with pytest.raises(UnknownEventError):
        attempt_facts(DeliverySucceeded.type_name, schema, data)
