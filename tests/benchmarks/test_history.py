"""The synthetic histories of the benchmarks are ones that hookfuse could have written."""

import sqlite3
from pathlib import Path

import pytest

from benchmarks.history import Shape, installation_id, write_history
from eventstore.events.catalogue import AttemptEvent, DeliverySucceeded
from eventstore.home.folder import Home
from eventstore.log.event_log import chain_hash, read_events
from eventstore.projections.registry import read_endpoint, read_installations
from eventstore.sqlite.database import open_database

SHAPE = Shape(events=2_000, installations=7, failing=0.3, broken=0.4, days=5)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    write_history(home, SHAPE)
    return home


@pytest.fixture
def connection(home: Home) -> sqlite3.Connection:
    return open_database(home.database, is_writer=False)


def test_a_history_has_as_many_events_as_were_wanted_without_gaps(connection: sqlite3.Connection) -> None:
    positions = [stored.position for stored in read_events(connection)]

    assert positions == list(range(1, SHAPE.events + 1))


def test_a_history_is_chained_as_a_real_one_is(connection: sqlite3.Connection) -> None:
    previous, versions = b"\x00" * 16, dict[str, int]()
    rows = connection.execute(
        "SELECT position, stream, version, type, schema, recorded_at, data, hash FROM events ORDER BY position"
    )
    for position, stream, version, type_name, schema, recorded_at, data, found in rows:
        previous = chain_hash(
            previous,
            position=position,
            stream=stream,
            version=version,
            type_name=type_name,
            schema=schema,
            recorded_at=recorded_at,
            data=data,
        )
        versions[stream] = versions.get(stream, 0) + 1
        assert (found, version) == (previous, versions[stream])


def test_each_attempt_is_one_of_its_installation_and_no_two_are_the_same_delivery(
    connection: sqlite3.Connection,
) -> None:
    stored_events = [stored for stored in read_events(connection) if isinstance(stored.event, AttemptEvent)]
    attempts = [stored.event for stored in stored_events if isinstance(stored.event, AttemptEvent)]

    assert len({attempt.delivery_id for attempt in attempts}) == len(attempts) == SHAPE.events - 15
    for stored, attempt in zip(stored_events, attempts, strict=True):
        assert stored.stream == f"installation-{installation_id(attempt.app_id - 1)}"
        assert attempt.webhook_url == f"https://receiver-{attempt.app_id}.example/webhooks/hookfuse"
        assert attempt.request_id
        assert attempt.duration_ms < 2_000
        assert bool(attempt.error_class) is not isinstance(stored.event, DeliverySucceeded)


def test_about_the_wanted_share_fails_and_what_is_broken_fails_to_the_end(connection: sqlite3.Connection) -> None:
    latest: dict[str, list[bool]] = {}
    for stored in read_events(connection):
        if isinstance(stored.event, AttemptEvent):
            latest.setdefault(stored.stream, []).append(isinstance(stored.event, DeliverySucceeded))
    outcomes = [is_success for one in latest.values() for is_success in one]
    failing = outcomes.count(False) / len(outcomes)

    assert 0.3 < failing < 0.7
    assert 1 <= sum(1 for one in latest.values() if not any(one[-20:])) <= 5


def test_a_history_is_spread_over_its_days_up_to_the_last_moment(connection: sqlite3.Connection) -> None:
    days = {stored.recorded_at[:10] for stored in read_events(connection)}

    assert min(days) == "2026-03-26"
    assert max(days) == "2026-03-31"
    assert len(days) == 6


def test_its_installations_are_registered_with_all_that_sending_needs(connection: sqlite3.Connection) -> None:
    installations = read_installations(connection)

    assert [one.installation_id for one in installations] == [installation_id(number) for number in range(7)]
    assert read_endpoint(connection, installation_id(3)).secrets.client_secret == "secret of app 4"


def test_the_same_shape_gives_the_same_history(connection: sqlite3.Connection, tmp_path: Path) -> None:
    write_history(Home(tmp_path / "other"), SHAPE)
    other = open_database(tmp_path / "other" / "events.db", is_writer=False)

    last = "SELECT hash FROM events ORDER BY position DESC LIMIT 1"
    assert other.execute(last).fetchone() == connection.execute(last).fetchone()
