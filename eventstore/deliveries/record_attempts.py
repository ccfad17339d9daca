"""Recording what became of deliveries: the event and the queue's acknowledgement, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from eventstore.common.identifiers import installation_stream
from eventstore.decisions.disable import SYSTEM
from eventstore.decisions.probing import probe_event
from eventstore.deliveries.recover import completing_recoveries
from eventstore.events.catalogue import (
    AttemptEvent,
    DeliveryDropped,
    DeliveryExhausted,
    DeliveryMissed,
    DeliverySucceeded,
)
from eventstore.log.event_log import NewEvent
from eventstore.queue.acknowledge import mark_dead, mark_missed, mark_retry, remove_delivered
from eventstore.queue.delivery import QueuedDelivery, error_text
from eventstore.unit_of_work import Transaction

__all__ = ["DeliveryRecord", "events_of", "record_deliveries"]


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """What became of one attempt at a delivery, or that it was missed."""

    delivery: QueuedDelivery
    event: AttemptEvent | DeliveryMissed

    @property
    def is_done(self) -> bool:
        """Return whether the delivery leaves the queue."""
        return self.delivery.is_probe or isinstance(self.event, DeliverySucceeded)


def record_deliveries(transaction: Transaction, records: Sequence[DeliveryRecord]) -> list[int]:
    """Record what the queue still waits for, and give each record's position in the log.

    A test delivery leaves the queue with its first outcome, whatever that is. When the last of what is being
    recovered no longer waits, the end of the recovery is recorded too.
    0 = the queue no longer waits for this attempt (it was recorded before, or a person took the delivery
    out): it is not counted again.
    """
    with completing_recoveries(transaction, (record.delivery.installation_id for record in records)):
        return _record_all(transaction, records)


def _record_all(transaction: Transaction, records: Sequence[DeliveryRecord]) -> list[int]:
    counted = _acknowledge_all(transaction, records)
    new_events: list[NewEvent] = []
    offsets = []
    for record, is_counted in zip(records, counted, strict=True):
        offsets.append(len(new_events) if is_counted else -1)
        if is_counted:
            new_events += events_of(record)
    if not new_events:
        return [0] * len(records)
    stored = transaction.append(*new_events)
    return [stored[offset].position if offset >= 0 else 0 for offset in offsets]


def _acknowledge_all(transaction: Transaction, records: Sequence[DeliveryRecord]) -> list[bool]:
    """Acknowledge the records to the queue, and return for each whether it still waited for that attempt."""
    done = [record.delivery for record in records if record.is_done]
    removed = iter(remove_delivered(transaction.connection, done) if done else ())
    return [next(removed) if record.is_done else _acknowledge(transaction, record) for record in records]


def _acknowledge(transaction: Transaction, record: DeliveryRecord) -> bool:
    connection, delivery, event = transaction.connection, record.delivery, record.event
    if isinstance(event, DeliveryMissed):
        return mark_missed(connection, delivery)
    last_error = error_text(event.status_code, event.error_class)
    if event.retry_at is not None:
        return mark_retry(connection, delivery, due_at=event.retry_at, last_error=last_error)
    return mark_dead(connection, delivery, last_error=last_error)


def events_of(record: DeliveryRecord) -> list[NewEvent]:
    """Return what is recorded of an outcome that the queue waited for."""
    delivery, event = record.delivery, record.event
    stream = installation_stream(delivery.installation_id)
    if delivery.is_probe:
        return [NewEvent(stream, _outcome_of_probe(delivery, event))]
    events = [NewEvent(stream, event)]
    if isinstance(event, DeliveryMissed | DeliverySucceeded) or event.retry_at is not None:
        return events
    exhausted = DeliveryExhausted(
        delivery_id=delivery.delivery_id,
        event_name=delivery.event_name,
        attempts=event.attempt,
        error_class=event.error_class,
        status_code=event.status_code,
    )
    return [*events, NewEvent(stream, exhausted)]


def _outcome_of_probe(delivery: QueuedDelivery, event: AttemptEvent | DeliveryMissed) -> AttemptEvent | DeliveryDropped:
    """Return what is recorded of a test delivery; one that was never sent is given up, not kept."""
    if isinstance(event, AttemptEvent):
        return probe_event(event)
    return DeliveryDropped(
        delivery_id=delivery.delivery_id,
        event_name=delivery.event_name,
        was="waiting",
        by=SYSTEM,
        reason="a test delivery that could not be sent: its installation is removed",
    )
