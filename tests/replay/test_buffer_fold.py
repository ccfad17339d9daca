"""The rebuilt buffer agrees with the live one, and says where it does not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from eventstore.clock import ManualClock
from eventstore.events import (
    CountsImported,
    DeliveryFailed,
    DeliverySucceeded,
    DeliveryTimedOut,
    DisablingFrozen,
    Event,
    InstallationEnabled,
)
from eventstore.identifiers import FLEET_STREAM, installation_stream
from eventstore.log import NewEvent
from eventstore.store import Store
from replay import compare_buffer

_FIRST, _SECOND = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def _attempt(event_class: type[DeliverySucceeded | DeliveryFailed | DeliveryTimedOut], error_class: str = "") -> Event:
    return event_class("delivery", "issue.created", 5, 17, 1, "https://a.example", error_class=error_class)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    clock = ManualClock(datetime(2026, 3, 1, 23, 59, tzinfo=UTC))
    store = Store(tmp_path / "events.db", clock)
    for event in (
        _attempt(DeliverySucceeded),
        _attempt(DeliveryFailed, "server_error"),
        _attempt(DeliveryTimedOut, "dns"),
    ):
        for installation_id in (_FIRST, _SECOND):
            with store.transaction() as transaction:
                transaction.append(NewEvent(installation_stream(installation_id), event))
        clock.advance(seconds=90)
    return store


def test_rebuilt_buffer_agrees_with_the_live_one(store: Store) -> None:
    differences = compare_buffer(store.connection)

    assert store.connection.execute("SELECT count(*) FROM buffer").fetchone() == (4,)
    assert differences == []


def test_enabling_empties_only_the_days_of_its_installation(store: Store) -> None:
    with store.transaction() as transaction:
        transaction.append(
            NewEvent(installation_stream(_FIRST), InstallationEnabled(_FIRST, by="person:a", reason="mended"))
        )

    assert compare_buffer(store.connection) == []
    assert store.connection.execute("SELECT DISTINCT installation_id FROM buffer").fetchall() == [(_SECOND,)]


def test_a_count_changed_by_hand_is_named_with_both_values(store: Store) -> None:
    store.connection.execute("UPDATE buffer SET timeout = 7 WHERE installation_id = ? AND timeout = 1", (_SECOND,))

    (difference,) = compare_buffer(store.connection)

    assert (difference.installation_id, difference.day) == (_SECOND, "2026-03-02")
    assert (difference.field, difference.live, difference.rebuilt) == ("timeout", 7, 1)


def test_a_deleted_row_is_found(store: Store) -> None:
    store.connection.execute("DELETE FROM buffer WHERE installation_id = ? AND day = '2026-03-01'", (_FIRST,))

    differences = compare_buffer(store.connection)

    assert {(one.field, one.live, one.rebuilt) for one in differences} == {("success", 0, 1)}


def test_imported_counts_are_added_to_the_day_that_they_name_frozen_or_not(store: Store) -> None:
    imported = CountsImported(_FIRST, "2026-03-01", "file", "person:a", success=2, client_error=3, timeout=4, fatal=5)
    with store.transaction() as transaction:
        transaction.append(NewEvent(FLEET_STREAM, DisablingFrozen(9, 9, 9)))
        transaction.append(*[NewEvent(installation_stream(_FIRST), imported)] * 2)

    assert compare_buffer(store.connection) == []
    assert store.connection.execute(
        "SELECT success, client_error, timeout, fatal, first_failure FROM buffer"
        " WHERE installation_id = ? AND day = '2026-03-01'",
        (_FIRST,),
    ).fetchall() == [(1 + 4, 6, 8, 10, None)]
