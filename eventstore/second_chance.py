"""Decisions about deliveries that were kept: sent again, or given up."""

import sqlite3
from collections.abc import Sequence

from eventstore.errors import NotFoundError, RejectedError
from eventstore.events import DeliveryDropped, DeliveryRequeued
from eventstore.identifiers import installation_stream
from eventstore.log import NewEvent
from eventstore.registry import find_installation
from eventstore.store import Transaction
from eventstore.work_queue import QueuedDelivery, drop, find_delivery, put_back

__all__ = ["drop_kept", "kept_deliveries", "resend_kept"]


def resend_kept(transaction: Transaction, delivery_ids: Sequence[str], *, by: str, reason: str = "") -> None:
    """Let dead or missed deliveries wait again, all or none, under their ids and in the order of queueing.

    Raises NotFoundError (the queue does not hold one) and RejectedError (one is waiting, or its
    installation is not active, so that it would only be missed again).
    """
    deliveries = _find_all(transaction, delivery_ids)
    for delivery in deliveries:
        _require_active(transaction, delivery)
        put_back(transaction.connection, delivery, due_at=transaction.recorded_at)
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
    """Give dead or missed deliveries up, all or none. Raises NotFoundError and RejectedError as resend_kept does."""
    deliveries = _find_all(transaction, delivery_ids)
    for delivery in deliveries:
        drop(transaction.connection, delivery)
    transaction.append(
        *(
            NewEvent(
                installation_stream(delivery.installation_id),
                DeliveryDropped(delivery.delivery_id, delivery.event_name, delivery.state, by, reason),
            )
            for delivery in deliveries
        )
    )


def kept_deliveries(
    connection: sqlite3.Connection, installation_id: str, states: Sequence[str], *, after_sequence: int, limit: int
) -> tuple[tuple[int, str], ...]:
    """Read sequence number and id of an installation's dead or missed deliveries, in the order of queueing.

    With the last sequence number as `after_sequence` the next ones are read: one that dies again meanwhile
    is not met twice.
    """
    rows = connection.execute(
        "SELECT sequence, delivery_id FROM queue WHERE installation_id = ?"  # noqa: S608
        f" AND state IN ({', '.join('?' * len(states))}) AND state != 'waiting' AND sequence > ?"
        " ORDER BY sequence LIMIT ?",
        (installation_id, *states, after_sequence, limit),
    )
    return tuple((int(sequence), str(delivery_id)) for sequence, delivery_id in rows)


def _find_all(transaction: Transaction, delivery_ids: Sequence[str]) -> list[QueuedDelivery]:
    deliveries = [_find(transaction, delivery_id) for delivery_id in dict.fromkeys(delivery_ids)]
    return sorted(deliveries, key=lambda delivery: delivery.sequence)


def _find(transaction: Transaction, delivery_id: str) -> QueuedDelivery:
    delivery = find_delivery(transaction.connection, delivery_id)
    if delivery is None:
        raise NotFoundError(f"delivery {delivery_id} is not in the queue: it was delivered or dropped, or never was")
    if delivery.state == "waiting":
        raise RejectedError(f"delivery {delivery_id} is waiting: only dead or missed ones are sent again or dropped")
    return delivery


def _require_active(transaction: Transaction, delivery: QueuedDelivery) -> None:
    installation = find_installation(transaction.connection, delivery.installation_id)
    if not installation.is_active:
        raise RejectedError(
            f"installation {installation.installation_id} is {installation.state}:"
            " enable it before its deliveries are sent again"
        )
