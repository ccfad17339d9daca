"""The fast fold of the buffer is the live handlers' fold, for every history."""

from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import FLEET_STREAM, installation_stream
from eventstore.errors import UnknownEventError
from eventstore.events.catalogue import (
    DeliverySucceeded,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCountsImported,
    InstallationCreated,
    InstallationEnabled,
)
from eventstore.log.event_log import NewEvent, last_position, read_events
from eventstore.unit_of_work import Store
from replay.projecting import buffer_fold
from replay.projecting.buffer_fold import BufferFold
from replay.projecting.scratch import Scratch, open_scratch
from replay.reading.log_range import LogRange
from tests.eventstore.facts import INSTALLATION_ID, failed, path_of, record, succeeded, timed_out
from tests.eventstore.projections.test_projection import histories, written

Rows = list[tuple[Any, ...]]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "events.db", ManualClock(datetime(2026, 3, 1, 23, 59, tzinfo=UTC)))


def tell(store: Store, event: Event, stream: str = installation_stream(INSTALLATION_ID)) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent(stream, event))


def rows(scratch: Scratch, table: str) -> Rows:
    return scratch.connection.execute(f"SELECT * FROM {table} ORDER BY installation_id, day").fetchall()


def folded(database: Path, bounds: list[int]) -> tuple[Rows, Rows, Rows]:
    """Return the buffer by the fast fold, range by range, by the live handlers on a scratch, and as it is live."""
    with open_scratch(database) as scratch:
        fold = BufferFold(scratch.connection)
        for after, up_to in pairwise(bounds):
            fold.follow(LogRange(after, up_to))
        fold.write()
        fast = rows(scratch, "buffer")
    with open_scratch(database) as scratch:
        scratch.follow(read_events(scratch.connection))
        return fast, rows(scratch, "buffer"), rows(scratch, "live.buffer")


@given(history=histories, cuts=st.sets(st.integers(0, 60)), days_in_memory=st.sampled_from((1, 3, 1000)))
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_fast_fold_the_live_handlers_and_the_live_buffer_agree_on_every_history(
    tmp_path_factory: Any,
    monkeypatch: pytest.MonkeyPatch,
    history: list[tuple[str, str, str, float]],
    cuts: set[int],
    days_in_memory: int,
) -> None:
    monkeypatch.setattr(buffer_fold, "_DAYS_IN_MEMORY", days_in_memory)
    database = tmp_path_factory.mktemp("home") / "events.db"
    store, events = written(database, history)
    store.close()

    fast, by_handlers, live = folded(database, sorted({0, len(events), *(cut for cut in cuts if cut < len(events))}))

    assert fast == by_handlers == live


def test_success_of_before_an_enabling_is_gone_and_one_of_after_it_is_counted(store: Store) -> None:
    record(store, succeeded(), succeeded(), failed())
    tell(store, InstallationEnabled(INSTALLATION_ID, "person:a", "fixed"))
    record(store, succeeded(), failed())

    fast, by_handlers, live = folded(path_of(store), [0, 6])

    assert fast == by_handlers == live
    assert [row[2:] for row in fast] == [(1, 0, 0, 0, 1, 0, 0, 0, 6, 6, 0)]


def test_failures_of_a_freeze_are_not_counted_successes_and_imported_counts_are(store: Store) -> None:
    imported = InstallationCountsImported(
        INSTALLATION_ID, "2026-02-27", "file", "person:a", success=2, client_error=3, timeout=4
    )
    record(store, timed_out())
    tell(store, DisablingFrozen(9, 9, 9), FLEET_STREAM)
    record(store, failed(), timed_out(), succeeded())
    tell(store, imported)
    tell(store, imported)
    tell(store, DisablingThawed(9, 0), FLEET_STREAM)
    record(store, failed("gone", 410))

    fast, by_handlers, live = folded(path_of(store), [0, 3, 5, last_position(store.connection)])

    assert fast == by_handlers == live
    assert [row[1:] for row in fast] == [
        ("2026-02-27", 4, 0, 6, 0, 0, 0, 8, 0, None, None, 0),
        ("2026-03-01", 1, 0, 1, 0, 0, 0, 1, 0, 1, 9, 0),
    ]


def test_an_installation_that_comes_back_starts_empty(store: Store) -> None:
    record(store, failed(), succeeded())
    tell(store, InstallationCreated(INSTALLATION_ID, 42, 17))

    fast, by_handlers, live = folded(path_of(store), [0, 3])

    assert fast == by_handlers == live == []


@pytest.mark.parametrize(
    ("damage", "position"),
    [
        ("UPDATE events SET data = substr(data, 2) WHERE position = 2", 2),
        ("UPDATE events SET type = 'delivery.eaten' WHERE position = 3", 3),
        ("UPDATE events SET schema = 9 WHERE position = 1", 1),
    ],
)
def test_an_event_that_cannot_be_read_is_named_and_not_passed_over(store: Store, damage: str, position: int) -> None:
    record(store, succeeded(), failed(), succeeded())
    store.connection.execute("DROP TRIGGER events_refuse_update")
    store.connection.execute(damage)

    with open_scratch(path_of(store)) as scratch, pytest.raises(UnknownEventError, match=f"^event {position}: "):
        BufferFold(scratch.connection).follow(LogRange(0, 3))


def test_nothing_of_a_success_is_decoded_as_it_says_all_by_its_type(store: Store) -> None:
    record(store, succeeded())
    store.connection.execute("DROP TRIGGER events_refuse_update")
    store.connection.execute("UPDATE events SET data = 'no JSON'")

    with open_scratch(path_of(store)) as scratch:
        fold = BufferFold(scratch.connection)
        fold.follow(LogRange(0, 1))
        fold.write()

        assert [row[2] for row in rows(scratch, "buffer")] == [1]
    assert DeliverySucceeded.schema == 1
