from datetime import UTC, datetime

import pytest

from eventstore.common.clock import ManualClock
from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import (
    DeliveryBlocked,
    DeliveryExhausted,
    DeliveryMissed,
    Event,
    InstallationEnabled,
    InstallationRemoved,
)
from eventstore.log.event_log import NewEvent
from eventstore.policies.day_counts import DayCounts, counted_class_of
from eventstore.projections.broken_state_buffer import read_days
from eventstore.unit_of_work import Store
from tests.eventstore.facts import (
    INSTALLATION_ID,
    OTHER_INSTALLATION_ID,
    attempt,
    failed,
    record,
    succeeded,
    timed_out,
)


@pytest.mark.parametrize(
    "event",
    [
        attempt(DeliveryBlocked, error_class="blocked"),
        DeliveryMissed("d", "issue.created", "2025-02-03T12:00:00.000000Z"),
        DeliveryExhausted("d", "issue.created", 8, "server_error", 500),
    ],
    ids=lambda event: event.type_name,
)
def test_what_says_nothing_about_the_endpoint_is_counted_nowhere(store: Store, event: Event) -> None:
    with store.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), event))

    assert counted_class_of(event) is None
    assert read_days(store.connection, INSTALLATION_ID, "") == ()


def test_day_ends_at_midnight_utc(store: Store, clock: ManualClock) -> None:
    clock.moment = datetime(2025, 2, 3, 23, 59, 59, 999_999, tzinfo=UTC)
    record(store, failed())
    clock.advance(seconds=0.000_001)
    record(store, failed())

    assert [day.day for day in read_days(store.connection, INSTALLATION_ID, "")] == ["2025-02-03", "2025-02-04"]


def test_first_and_last_failure_are_positions_and_pass_over_successes(store: Store) -> None:
    record(store, succeeded(), failed(), succeeded(), timed_out(), succeeded())

    (day,) = read_days(store.connection, INSTALLATION_ID, "")
    assert day == DayCounts("2025-02-03", success=3, server_error=1, timeout=1, first_failure=2, last_failure=4)


def test_installations_are_counted_apart(store: Store) -> None:
    record(store, failed())
    record(store, succeeded(), installation_id=OTHER_INSTALLATION_ID)

    assert read_days(store.connection, INSTALLATION_ID, "")[0].success == 0
    assert read_days(store.connection, OTHER_INSTALLATION_ID, "")[0].server_error == 0


def test_enabling_clears_the_installations_own_days_only(store: Store) -> None:
    record(store, failed())
    record(store, failed(), installation_id=OTHER_INSTALLATION_ID)
    with store.transaction() as transaction:
        stream = installation_stream(INSTALLATION_ID)
        transaction.append(NewEvent(stream, InstallationEnabled(INSTALLATION_ID, "person:ada", "fixed")))

    assert read_days(store.connection, INSTALLATION_ID, "") == ()
    assert len(read_days(store.connection, OTHER_INSTALLATION_ID, "")) == 1


def test_removing_clears_nothing(store: Store) -> None:
    record(store, failed())
    with store.transaction() as transaction:
        transaction.append(NewEvent(installation_stream(INSTALLATION_ID), InstallationRemoved(INSTALLATION_ID)))

    assert len(read_days(store.connection, INSTALLATION_ID, "")) == 1


def test_days_before_the_asked_one_are_not_read(store: Store, clock: ManualClock) -> None:
    for _ in range(3):
        record(store, failed())
        clock.advance(days=1)

    days = read_days(store.connection, INSTALLATION_ID, "2025-02-04")
    assert [day.day for day in days] == ["2025-02-04", "2025-02-05"]
