"""Decisions about deliveries that were kept, or wait: sent again, or given up."""

from collections.abc import Sequence

from eventstore.common.identifiers import installation_stream
from eventstore.deliveries.recover import completing_recoveries
from eventstore.errors import NotFoundError, RejectedError
from eventstore.events.catalogue import DeliveryDropped, DeliveryRequeued
from eventstore.log.change_signal import notify_change
from eventstore.log.event_log import NewEvent
from eventstore.projections.registry import find_installation
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.enqueue import unpack
from eventstore.queue.kept import drop, drop_waiting, make_due, requeue
from eventstore.queue.packed_batches import read_packed_batches
from eventstore.queue.queries import find_delivery, find_row
from eventstore.unit_of_work import Transaction

__all__ = ["drop_kept", "lay_out", "resend_kept"]


def resend_kept(transaction: Transaction, delivery_ids: Sequence[str], *, by: str, reason: str = "") -> None:
    """Requeue dead or missed deliveries, all or none, under their ids and in the order of queueing.

    One that waits is due at once; what else holds it (its breaker, a pause, its ordering key) still does.
    Raises NotFoundError (the queue does not hold one) and RejectedError (one is a test delivery, or has no payload any
    more, or its installation is not active, so that it would only be missed again).
    """
    deliveries = _find_all(transaction, delivery_ids)
    for delivery in deliveries:
        _refuse_probe(delivery)
        _require_payload(delivery)
        _require_active(transaction, delivery)
        let_go = make_due if delivery.state == "waiting" else requeue
        let_go(transaction.connection, delivery, due_at=transaction.recorded_at)
    transaction.append(
        *(
            NewEvent(
                installation_stream(delivery.installation_id),
                DeliveryRequeued(delivery.delivery_id, delivery.event_name, delivery.state, by, reason),
            )
            for delivery in deliveries
        )
    )


def drop_kept(transaction: Transaction, delivery_ids: Sequence[str], *, by: str, reason: str) -> None:
    """Drop deliveries, dead, missed or waiting, all or none.

    Raises NotFoundError (the queue does not hold one) and RejectedError (one is a test delivery).
    """
    deliveries = _find_all(transaction, delivery_ids)
    for delivery in deliveries:
        _refuse_probe(delivery)
    with completing_recoveries(transaction, (delivery.installation_id for delivery in deliveries)):
        for delivery in deliveries:
            give_up = drop_waiting if delivery.state == "waiting" else drop
            give_up(transaction.connection, delivery)
        if any(delivery.state == "waiting" for delivery in deliveries):
            notify_change(transaction.connection)  # the next of its ordering key may go
        transaction.append(
            *(
                NewEvent(
                    installation_stream(delivery.installation_id),
                    DeliveryDropped(delivery.delivery_id, delivery.event_name, delivery.state, by, reason),
                )
                for delivery in deliveries
            )
        )


def lay_out(transaction: Transaction, installation_id: str) -> None:
    """Unpack all deliveries that wait for an installation, so that they can be decided about."""
    for packed_batch in list(read_packed_batches(transaction.connection, installation_id=installation_id)):
        unpack(transaction.connection, packed_batch.first_sequence)


def _find_all(transaction: Transaction, delivery_ids: Sequence[str]) -> list[QueuedDelivery]:
    deliveries = [_find(transaction, delivery_id) for delivery_id in dict.fromkeys(delivery_ids)]
    return sorted(deliveries, key=lambda delivery: delivery.sequence)


def _find(transaction: Transaction, delivery_id: str) -> QueuedDelivery:
    delivery = find_delivery(transaction.connection, delivery_id)
    if delivery is None:
        raise NotFoundError(f"delivery {delivery_id} is not in the queue: it was delivered or dropped, or never was")
    if find_row(transaction.connection, delivery_id) is None:
        lay_out(transaction, delivery.installation_id)
    return delivery


def _refuse_probe(delivery: QueuedDelivery) -> None:
    if delivery.is_probe:
        raise RejectedError(
            f"delivery {delivery.delivery_id} is a test delivery, which is sent once and leaves the queue by itself"
        )


def _require_payload(delivery: QueuedDelivery) -> None:
    if delivery.is_expired:
        raise RejectedError(
            f"delivery {delivery.delivery_id} no longer has a payload, as it was kept for long enough:"
            " it cannot be sent again, only dropped"
        )
    if not delivery.is_intact:
        raise RejectedError(
            f"delivery {delivery.delivery_id} is damaged: its payload is not what was queued, and is never sent;"
            " queue it again from its source, and drop this one"
        )


def _require_active(transaction: Transaction, delivery: QueuedDelivery) -> None:
    installation = find_installation(transaction.connection, delivery.installation_id)
    if not installation.is_active:
        raise RejectedError(
            f"installation {installation.installation_id} is {installation.state}:"
            " enable it before its deliveries are sent again"
        )
