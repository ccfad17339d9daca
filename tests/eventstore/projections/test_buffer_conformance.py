"""What holds for every broken-state buffer: the one in SQLite, and the one in Redis. One suite, run on each."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import FLEET_STREAM, installation_stream
from eventstore.events.catalogue import (
    DeliveryBlocked,
    DisablingFrozen,
    DisablingThawed,
    Event,
    InstallationCountsImported,
    InstallationEnabled,
)
from eventstore.home.folder import Home
from eventstore.log.event_log import NewEvent
from eventstore.projections.broken_state_buffer import read_days
from eventstore.redis.original_projection import RedisProjection
from eventstore.unit_of_work import Store
from tests.eventstore.facts import (
    INSTALLATION_ID,
    OTHER_INSTALLATION_ID,
    attempt,
    failed,
    record,
    register,
    succeeded,
    timed_out,
)
from tests.redis_server import RedisServer

NOW = datetime.now(UTC).replace(hour=12)  # a real server lets keys die by the real time
TODAY, YESTERDAY = (f"{NOW - timedelta(days=number):%Y-%m-%d}" for number in (0, 1))
NAMES = {"success_count": "success", "error_count": "client_error", "timeout_count": "timeout", "fatal_count": "fatal"}

# (app id, day) -> the counts that are not zero
Read = Callable[[int, str], dict[str, int]]


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with Store(home.database, ManualClock(NOW - timedelta(days=1))) as store:
        register(store)
        register(store, installation_id=OTHER_INSTALLATION_ID, app_id=43)
        yield store


@pytest.fixture(params=["sqlite", "redis"])
def read(request: pytest.FixtureRequest, store: Store, server: RedisServer) -> Iterator[Read]:
    client = server.client()
    client.flushdb()
    ids = {42: INSTALLATION_ID, 43: OTHER_INSTALLATION_ID}

    def read_sqlite(app_id: int, day: str) -> dict[str, int]:
        days = [one for one in read_days(store.connection, ids[app_id], day) if one.day == day]
        return {name: getattr(one, name) for one in days for name in NAMES.values() if getattr(one, name)}

    def read_redis(app_id: int, day: str) -> dict[str, int]:
        projection = RedisProjection(server.url)
        while projection.catch_up(store.connection, NOW):
            pass
        projection.close()
        found: Any = client.hgetall(f"sentry-app-error:{app_id}:17:{day}")
        return {NAMES[name.decode()]: int(value) for name, value in found.items()}

    yield read_sqlite if request.param == "sqlite" else read_redis
    client.close()


def append(store: Store, event: Event, stream: str = installation_stream(INSTALLATION_ID)) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent(stream, event))


def next_day(store: Store) -> None:
    assert isinstance(store.clock, ManualClock)
    store.clock.advance(days=1)


def test_outcomes_are_counted_by_class(read: Read, store: Store) -> None:
    record(store, succeeded(), failed("client_error", 404), failed("gone", 410), timed_out(), timed_out("dns"))

    assert read(42, YESTERDAY) == {"success": 1, "client_error": 2, "timeout": 2}


def test_each_utc_day_and_each_installation_has_counts_of_its_own(read: Read, store: Store) -> None:
    record(store, succeeded())
    record(store, timed_out(app_id=43), installation_id=OTHER_INSTALLATION_ID)
    next_day(store)
    record(store, timed_out())

    assert read(42, YESTERDAY) == {"success": 1}
    assert read(42, TODAY) == {"timeout": 1}
    assert read(43, YESTERDAY) == {"timeout": 1}


def test_what_says_nothing_about_the_endpoint_is_not_counted(read: Read, store: Store) -> None:
    record(store, failed("internal", 0), attempt(DeliveryBlocked, error_class="blocked"))

    assert read(42, YESTERDAY) == {}


def test_enabling_empties_all_days_of_its_installation_and_of_no_other(read: Read, store: Store) -> None:
    record(store, timed_out())
    record(store, timed_out(app_id=43), installation_id=OTHER_INSTALLATION_ID)
    next_day(store)
    record(store, timed_out())
    append(store, InstallationEnabled(INSTALLATION_ID, "person:ada", "fixed"))
    record(store, succeeded())

    assert (read(42, YESTERDAY), read(42, TODAY)) == ({}, {"success": 1})
    assert read(43, YESTERDAY) == {"timeout": 1}


def test_failures_while_disabling_is_frozen_are_not_counted_and_successes_are(read: Read, store: Store) -> None:
    append(store, DisablingFrozen(10, 6, 6), FLEET_STREAM)
    record(store, timed_out(), succeeded())
    append(store, DisablingThawed(10, 0), FLEET_STREAM)
    record(store, timed_out())

    assert read(42, YESTERDAY) == {"success": 1, "timeout": 1}


def test_what_another_system_has_counted_comes_on_top(read: Read, store: Store) -> None:
    record(store, timed_out())
    append(
        store,
        InstallationCountsImported(INSTALLATION_ID, YESTERDAY, "redis", "person:ada", success=2, timeout=3, fatal=1),
    )

    assert read(42, YESTERDAY) == {"success": 2, "timeout": 4, "fatal": 1}
