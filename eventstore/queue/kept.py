"""Deliveries that were missed or are dead: kept, sent again, given up, or without their payload after a time."""

import sqlite3
from collections.abc import Iterable

from eventstore.queue.delivery import QUEUE_COLUMNS, QueuedDelivery

__all__ = ["drop", "drop_waiting", "expire", "is_recovering", "make_due", "put_back", "read_expiring", "recover_missed"]


def put_back(connection: sqlite3.Connection, delivery: QueuedDelivery, *, due_at: str) -> bool:
    """Let a dead or missed delivery wait again, with all its attempts before it; not one whose payload is gone."""
    cursor = connection.execute(
        "UPDATE queue SET state = 'waiting', is_behind = 0, attempts = 0, due_at = ?"
        " WHERE sequence = ? AND state = ? AND state != 'waiting' AND NOT is_expired",
        (due_at, delivery.sequence, delivery.state),
    )
    return cursor.rowcount == 1


def make_due(connection: sqlite3.Connection, delivery: QueuedDelivery, *, due_at: str) -> bool:
    """Have a delivery that waits be due by a moment; the attempts that were made stay, as one may be under way."""
    cursor = connection.execute(
        "UPDATE queue SET due_at = ? WHERE sequence = ? AND state = 'waiting' AND NOT is_probe",
        (due_at, delivery.sequence),
    )
    return cursor.rowcount == 1


def drop_waiting(connection: sqlite3.Connection, delivery: QueuedDelivery) -> bool:
    """Give a delivery up that waits; the outcome of an attempt that is under way is not recorded."""
    cursor = connection.execute(
        "DELETE FROM queue WHERE sequence = ? AND state = 'waiting' AND NOT is_probe", (delivery.sequence,)
    )
    return cursor.rowcount == 1


def drop(connection: sqlite3.Connection, delivery: QueuedDelivery) -> bool:
    """Give a delivery up that is dead or missed, or was missed and is being recovered."""
    cursor = connection.execute(
        "DELETE FROM queue WHERE sequence = ? AND state = ? AND (state != 'waiting' OR is_recovery)",
        (delivery.sequence, delivery.state),
    )
    return cursor.rowcount == 1


def read_expiring(connection: sqlite3.Connection, *, older_than: str, limit: int) -> tuple[QueuedDelivery, ...]:
    """Read dead and missed deliveries with a payload that were queued before a moment, in the order of queueing."""
    rows = connection.execute(
        f"SELECT {QUEUE_COLUMNS} FROM queue WHERE state != 'waiting' AND NOT is_expired AND enqueued_at < ?"  # noqa: S608
        " ORDER BY enqueued_at, sequence LIMIT ?",
        (older_than, limit),
    )
    return tuple(QueuedDelivery(*row) for row in rows)


def expire(connection: sqlite3.Connection, delivery: QueuedDelivery) -> bool:
    """Drop the payload of a dead or missed delivery; the rest of it stays."""
    cursor = connection.execute(
        "UPDATE queue SET is_expired = 1, data = '{}', actor = NULL, checksum = NULL"
        " WHERE sequence = ? AND state = ? AND state != 'waiting' AND NOT is_expired",
        (delivery.sequence, delivery.state),
    )
    return cursor.rowcount == 1


def recover_missed(connection: sqlite3.Connection, due_at_of: Iterable[tuple[str, int]]) -> None:
    """Let missed deliveries, and those that are being recovered already, wait until the moment given for each.

    The pairs are of a moment and a sequence number.
    """
    connection.executemany(
        "UPDATE queue SET state = 'waiting', is_behind = 0, attempts = 0, is_recovery = 1, due_at = ?"
        " WHERE sequence = ? AND (state = 'missed' AND NOT is_expired OR state = 'waiting' AND is_recovery)",
        due_at_of,
    )


def is_recovering(connection: sqlite3.Connection, installation_id: str | None = None) -> bool:
    """Say whether anything that was missed waits to be sent again, of one installation or (None) of any."""
    # The index holds nothing else, so that this costs nothing on the way of each delivery.
    of_one = "" if installation_id is None else " AND installation_id = ?"
    row = connection.execute(
        f"SELECT 1 FROM queue INDEXED BY queue_of_recoveries WHERE is_recovery AND state = 'waiting'{of_one} LIMIT 1",  # noqa: S608
        () if installation_id is None else (installation_id,),
    ).fetchone()
    return row is not None
