"""The ends of an attempt: each answers one, and counts once."""

from collections.abc import Sequence

import msgspec

from eventstore.common.connection import Connection
from eventstore.queue.delivery import QueuedDelivery
from eventstore.sqlite.bulk import json_list

__all__ = ["mark_dead", "mark_missed", "mark_retry", "remove_delivered"]

# The four ends of an attempt. Each names the attempt that it answers and says whether the queue still waited
# for it: an outcome that comes twice (a crash, a second sender) changes nothing and is counted once.
_STILL_WAITS = " WHERE sequence = ? AND attempts = ? AND state = 'waiting'"


def remove_delivered(connection: Connection, deliveries: Sequence[QueuedDelivery]) -> list[bool]:
    """Take delivered deliveries out, all at once; say of each whether the queue still waited for its attempt."""
    sequences = json_list(delivery.sequence for delivery in deliveries)
    (found,) = connection.execute(
        "SELECT json_group_object(sequence, attempts) FROM queue"
        " WHERE sequence IN (SELECT value FROM json_each(?)) AND state = 'waiting'",
        (sequences,),
    ).fetchone()
    attempts_of = msgspec.json.decode(found, type=dict[int, int])
    awaited: dict[int, int] = {}  # one that comes twice is awaited once
    for number, delivery in enumerate(deliveries):
        if attempts_of.get(delivery.sequence) == delivery.attempts:
            awaited.setdefault(delivery.sequence, number)
    connection.execute("DELETE FROM queue WHERE sequence IN (SELECT value FROM json_each(?))", (json_list(awaited),))
    return [awaited.get(delivery.sequence) == number for number, delivery in enumerate(deliveries)]


def mark_retry(connection: Connection, delivery: QueuedDelivery, *, due_at: str, last_error: str) -> bool:
    """Keep a delivery for its next attempt."""
    return _update(connection, delivery, "attempts = attempts + 1, due_at = ?, last_error = ?", (due_at, last_error))


def mark_dead(connection: Connection, delivery: QueuedDelivery, *, last_error: str) -> bool:
    """Keep a delivery whose attempts are used up."""
    assignments = "attempts = attempts + 1, state = 'dead', is_recovery = 0, last_error = ?"
    return _update(connection, delivery, assignments, (last_error,))


def mark_missed(connection: Connection, delivery: QueuedDelivery) -> bool:
    """Keep a delivery that met an installation that is not active."""
    return _update(connection, delivery, "state = 'missed', is_recovery = 0", ())


def _update(connection: Connection, delivery: QueuedDelivery, assignments: str, values: tuple[str, ...]) -> bool:
    cursor = connection.execute(
        f"UPDATE queue SET {assignments}" + _STILL_WAITS,  # noqa: S608
        (*values, delivery.sequence, delivery.attempts),
    )
    return cursor.rowcount == 1
