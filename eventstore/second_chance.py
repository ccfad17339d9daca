"""Decisions about deliveries that were kept: sent again, or given up."""

import sqlite3
from collections.abc import Sequence

from eventstore.errors import NotFoundError, RejectedError
from eventstore.events import DeliveryDropped, DeliveryRequeued
from eventstore.identifiers import installation_stream
from eventstore.log import NewEvent
from eventstore.queue_view import find_delivery
from eventstore.recovery import completing_recoveries
from eventstore.registry import find_installation
from eventstore.store import Transaction
from eventstore.work_queue import QueuedDelivery, drop, put_back

__all__ = ["count_expired", "drop_kept", "kept_deliveries", "resend_kept"]


def resend_kept(transaction: Transaction, delivery_ids: Sequence[str], *, by: str, reason: str = "") -> None:
    """Let dead or missed deliveries wait again, all or none, under their ids and in the order of queueing.

    Raises NotFoundError (the queue does not hold one) and RejectedError (one is waiting, or has no payload any
    more, or its installation is not active, so that it would only be missed again).
    """
    deliveries = _find_all(transaction, delivery_ids)
    for delivery in deliveries:
        _require_kept(delivery)
        _require_payload(delivery)
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
    """Give dead or missed deliveries up, or ones that are being recovered, all or none.

    Raises NotFoundError (the queue does not hold one) and RejectedError (one is waiting, and was never missed).
    """
    deliveries = _find_all(transaction, delivery_ids)
    for delivery in deliveries:
        if not delivery.is_recovery:
            _require_kept(delivery)
    with completing_recoveries(transaction, (delivery.installation_id for delivery in deliveries)):
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
    connection: sqlite3.Connection,
    installation_id: str,
    states: Sequence[str],
    *,
    after_sequence: int,
    limit: int,
    is_with_expired: bool = False,
) -> tuple[tuple[int, str], ...]:
    """Read sequence number and id of an installation's dead or missed deliveries, in the order of queueing.

    Those whose payload is gone are among them only where they are asked for: they cannot be sent.
    With the last sequence number as `after_sequence` the next ones are read: one that dies again meanwhile
    is not met twice.
    """
    rows = connection.execute(
        "SELECT sequence, delivery_id FROM queue WHERE installation_id = ?"  # noqa: S608
        f" AND state IN ({', '.join('?' * len(states))}) AND state != 'waiting' AND sequence > ?"
        " AND (? OR NOT is_expired) ORDER BY sequence LIMIT ?",
        (installation_id, *states, after_sequence, is_with_expired, limit),
    )
    return tuple((int(sequence), str(delivery_id)) for sequence, delivery_id in rows)


def count_expired(connection: sqlite3.Connection, installation_id: str, states: Sequence[str]) -> int:
    """Count an installation's dead or missed deliveries whose payload is gone."""
    (count,) = connection.execute(
        "SELECT count(*) FROM queue WHERE installation_id = ? AND is_expired"  # noqa: S608
        f" AND state IN ({', '.join('?' * len(states))})",
        (installation_id, *states),
    ).fetchone()
    return int(count)


def _find_all(transaction: Transaction, delivery_ids: Sequence[str]) -> list[QueuedDelivery]:
    deliveries = [_find(transaction, delivery_id) for delivery_id in dict.fromkeys(delivery_ids)]
    return sorted(deliveries, key=lambda delivery: delivery.sequence)


def _find(transaction: Transaction, delivery_id: str) -> QueuedDelivery:
    delivery = find_delivery(transaction.connection, delivery_id)
    if delivery is None:
        raise NotFoundError(f"delivery {delivery_id} is not in the queue: it was delivered or dropped, or never was")
    return delivery


def _require_kept(delivery: QueuedDelivery) -> None:
    if delivery.state == "waiting":
        raise RejectedError(
            f"delivery {delivery.delivery_id} is waiting: only dead or missed ones are sent again or dropped"
        )


def _require_payload(delivery: QueuedDelivery) -> None:
    if delivery.is_expired:
        raise RejectedError(
            f"delivery {delivery.delivery_id} has no payload any more, as it was kept for long enough:"
            " it cannot be sent again, only dropped"
        )


def _require_active(transaction: Transaction, delivery: QueuedDelivery) -> None:
    installation = find_installation(transaction.connection, delivery.installation_id)
    if not installation.is_active:
        raise RejectedError(
            f"installation {installation.installation_id} is {installation.state}:"
            " enable it before its deliveries are sent again"
        )
