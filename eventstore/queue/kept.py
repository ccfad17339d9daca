"""Deliveries that were missed or are dead: kept, sent again, given up, or without their payload after a time."""

from collections.abc import Sequence

from eventstore.common.connection import Connection
from eventstore.queue.delivery import QUEUE_COLUMNS, QueuedDelivery

__all__ = [
    "count_expired",
    "drop",
    "drop_waiting",
    "expire",
    "kept_deliveries",
    "make_due",
    "read_expiring",
    "requeue",
]


def requeue(connection: Connection, delivery: QueuedDelivery, *, due_at: str) -> bool:
    """Requeue a dead or missed delivery, with all its attempts before it; not one whose payload is gone."""
    cursor = connection.execute(
        "UPDATE queue SET state = 'waiting', is_behind = FALSE, attempts = 0, due_at = ?"
        " WHERE sequence = ? AND state = ? AND state != 'waiting' AND NOT is_expired",
        (due_at, delivery.sequence, delivery.state),
    )
    return cursor.rowcount == 1


def make_due(connection: Connection, delivery: QueuedDelivery, *, due_at: str) -> bool:
    """Make a waiting delivery due by a moment; the attempts that were made stay, as one may be under way."""
    cursor = connection.execute(
        "UPDATE queue SET due_at = ? WHERE sequence = ? AND state = 'waiting' AND NOT is_probe",
        (due_at, delivery.sequence),
    )
    return cursor.rowcount == 1


def drop_waiting(connection: Connection, delivery: QueuedDelivery) -> bool:
    """Return a delivery up that waits; the outcome of an attempt that is under way is not recorded."""
    cursor = connection.execute(
        "DELETE FROM queue WHERE sequence = ? AND state = 'waiting' AND NOT is_probe", (delivery.sequence,)
    )
    return cursor.rowcount == 1


def drop(connection: Connection, delivery: QueuedDelivery) -> bool:
    """Return a delivery up that is dead or missed, or was missed and is being recovered."""
    cursor = connection.execute(
        "DELETE FROM queue WHERE sequence = ? AND state = ? AND (state != 'waiting' OR is_recovery)",
        (delivery.sequence, delivery.state),
    )
    return cursor.rowcount == 1


def read_expiring(connection: Connection, *, older_than: str, limit: int) -> tuple[QueuedDelivery, ...]:
    """Read dead and missed deliveries with a payload that were queued before a moment, in the order of queueing."""
    rows = connection.execute(
        f"SELECT {QUEUE_COLUMNS} FROM queue WHERE state != 'waiting' AND NOT is_expired AND enqueued_at < ?"  # noqa: S608
        " ORDER BY enqueued_at, sequence LIMIT ?",
        (older_than, limit),
    )
    return tuple(QueuedDelivery(*row) for row in rows)


def expire(connection: Connection, delivery: QueuedDelivery) -> bool:
    """Drop the payload of a dead or missed delivery; the rest of it stays."""
    cursor = connection.execute(
        "UPDATE queue SET is_expired = TRUE, data = '{}', actor = NULL, checksum = NULL"
        " WHERE sequence = ? AND state = ? AND state != 'waiting' AND NOT is_expired",
        (delivery.sequence, delivery.state),
    )
    return cursor.rowcount == 1


def kept_deliveries(
    connection: Connection,
    installation_id: str,
    states: Sequence[str],
    *,
    after_sequence: int,
    limit: int,
    is_with_expired: bool = False,
) -> tuple[tuple[int, str], ...]:
    """Read sequence number and id of an installation's deliveries in these states, in the order of queueing.

    Those whose payload is gone are among them only where they are asked for: they cannot be sent.
    With the last sequence number as `after_sequence` the next ones are read: one that dies again meanwhile
    is not met twice.
    """
    rows = connection.execute(
        "SELECT sequence, delivery_id FROM queue WHERE installation_id = ?"  # noqa: S608
        f" AND state IN ({', '.join('?' * len(states))}) AND NOT is_probe AND sequence > ?"
        " AND (? OR NOT is_expired) ORDER BY sequence LIMIT ?",
        (installation_id, *states, after_sequence, is_with_expired, limit),
    )
    return tuple((int(sequence), str(delivery_id)) for sequence, delivery_id in rows)


def count_expired(connection: Connection, installation_id: str, states: Sequence[str]) -> int:
    """Count an installation's dead or missed deliveries whose payload is gone."""
    (count,) = connection.execute(
        "SELECT count(*) FROM queue WHERE installation_id = ? AND is_expired"  # noqa: S608
        f" AND state IN ({', '.join('?' * len(states))})",
        (installation_id, *states),
    ).fetchone()
    return int(count)
