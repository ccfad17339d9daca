from typing import Any

import pytest

from eventstore.common.clock import ManualClock
from eventstore.decisions.probing import enqueue_probe
from eventstore.deliveries.record_attempts import DeliveryRecord, record_deliveries
from eventstore.events.catalogue import (
    AttemptEvent,
    DeliveryDropped,
    DeliveryExhausted,
    DeliveryMissed,
    Event,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.log.event_log import read_events
from eventstore.projections.broken_state_buffer import read_days
from eventstore.projections.registry import find_installation
from eventstore.projections.request_log import RequestFilter, read_requests
from eventstore.queue.delivery import NewDelivery, QueuedDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.queries import find_delivery, read_deliveries
from eventstore.unit_of_work import Store
from tests.eventstore.facts import INSTALLATION_ID, attempt, failed, register, succeeded, timed_out


@pytest.fixture
def known(store: Store) -> Store:
    register(store)
    return store


def probe(store: Store) -> QueuedDelivery:
    with store.transaction() as transaction:
        delivery_id = enqueue_probe(transaction, INSTALLATION_ID, by="person:ada")
    return found(store, delivery_id)


def ordinary(store: Store) -> QueuedDelivery:
    with store.transaction() as transaction:
        new = NewDelivery(INSTALLATION_ID, "issue.created", "{}")
        (delivery_id,) = enqueue(transaction.connection, [new], enqueued_at=transaction.recorded_at)
    return found(store, delivery_id)


def found(store: Store, delivery_id: str) -> QueuedDelivery:
    delivery = find_delivery(store.connection, delivery_id)
    assert delivery is not None
    return delivery


def record(store: Store, *pairs: tuple[QueuedDelivery, AttemptEvent | DeliveryMissed]) -> list[int]:
    with store.transaction() as transaction:
        return record_deliveries(transaction, [DeliveryRecord(delivery, event) for delivery, event in pairs])


def last_event(store: Store) -> Event:
    return [stored.event for stored in read_events(store.connection)][-1]


def probe_outcome(kind: type[AttemptEvent], **fields: Any) -> AttemptEvent:
    return attempt(kind, event_name="hookfuse.test", **fields)


OUTCOMES = [
    probe_outcome(ProbeSucceeded, status_code=200),
    probe_outcome(ProbeFailed, status_code=500, error_class="server_error"),
    probe_outcome(ProbeFailed, status_code=500, error_class="server_error", retry_at="2025-02-03T13:00:00.000000Z"),
    succeeded(event_name="hookfuse.test"),
    failed(event_name="hookfuse.test", retry_at="2025-02-03T13:00:00.000000Z"),
    timed_out(event_name="hookfuse.test"),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: outcome.type_name)
def test_a_probe_leaves_the_queue_with_its_first_outcome_and_is_logged_and_counts_for_nothing(
    known: Store, clock: ManualClock, outcome: AttemptEvent
) -> None:
    (position,) = record(known, (probe(known), outcome))

    assert read_deliveries(known.connection) == ()
    stored = list(read_events(known.connection))[-1]
    assert stored.position == position
    assert isinstance(stored.event, ProbeSucceeded | ProbeFailed)
    assert stored.event.retry_at is None
    assert read_days(known.connection, INSTALLATION_ID, "2025-01-01") == ()
    assert not any(isinstance(one.event, DeliveryExhausted) for one in read_events(known.connection))
    (logged,) = read_requests(known.connection, RequestFilter(app_id=42), clock.now())
    assert logged.position == position


def test_a_probe_that_fails_is_counted_as_such(known: Store) -> None:
    record(known, (probe(known), probe_outcome(ProbeFailed, status_code=500)))
    record(known, (probe(known), probe_outcome(ProbeSucceeded, status_code=200)))
    installation = find_installation(known.connection, INSTALLATION_ID)

    assert (installation.probe_failures, installation.last_probe_at) == (1, "2025-02-03T12:00:00.000000Z")


def test_the_outcome_of_a_probe_counts_once(known: Store) -> None:
    delivery = probe(known)

    assert [bool(record(known, (delivery, OUTCOMES[0]))[0]) for _ in range(2)] == [True, False]


def test_a_probe_that_could_not_be_sent_is_given_up_and_not_kept(known: Store) -> None:
    delivery = probe(known)
    missed = DeliveryMissed(delivery.delivery_id, delivery.event_name, delivery.enqueued_at)
    record(known, (delivery, missed))

    event = last_event(known)
    assert isinstance(event, DeliveryDropped)
    assert (event.delivery_id, event.was, event.by) == (delivery.delivery_id, "waiting", "system")
    assert read_deliveries(known.connection) == ()


def test_each_record_of_a_group_learns_its_own_position(known: Store) -> None:
    first, dead, test, twice = ordinary(known), ordinary(known), probe(known), ordinary(known)
    positions = record(
        known, (first, succeeded()), (dead, failed()), (test, OUTCOMES[1]), (twice, succeeded()), (twice, succeeded())
    )
    stored = {one.position: one.event for one in read_events(known.connection)}

    assert positions[4] == 0
    assert [stored[position].type_name for position in positions[:4]] == [
        "delivery.succeeded",
        "delivery.failed",
        "probe.failed",
        "delivery.succeeded",
    ]
    assert isinstance(stored[positions[1] + 1], DeliveryExhausted)


def test_a_group_in_which_nothing_counts_records_nothing(known: Store) -> None:
    delivery = ordinary(known)
    record(known, (delivery, succeeded()))
    before = last_event(known)

    assert record(known, (delivery, failed())) == [0]
    assert record(known) == []
    assert last_event(known) is not None
    assert last_event(known) == before
