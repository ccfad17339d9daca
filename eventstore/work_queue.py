"""The durable local queue: deliveries that wait, were missed, or are dead, with their payloads."""

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from eventstore.identifiers import new_id

__all__ = [
    "Claim",
    "NewDelivery",
    "QueuedDelivery",
    "claim",
    "count_deliveries",
    "drop",
    "enqueue",
    "find_delivery",
    "forget_idempotency_keys",
    "installations_with_waiting",
    "mark_dead",
    "mark_missed",
    "mark_retry",
    "newest_sequence",
    "put_back",
    "read_deliveries",
    "remove_delivered",
]


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """What a producer hands over. `data` and `actor` are compact JSON; an empty `ordering_key` = no order."""

    installation_id: str
    event_name: str
    data: str
    actor: str | None = None
    ordering_key: str = ""
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class QueuedDelivery:
    """A row of the queue. `attempts` are those already made; `actor` None = the platform itself."""

    sequence: int
    delivery_id: str
    installation_id: str
    event_name: str
    ordering_key: str
    state: str
    attempts: int
    enqueued_at: str
    due_at: str
    last_error: str
    actor: str | None
    data: str


@dataclass(frozen=True, slots=True)
class Claim:
    """Deliveries that are due, and when the installation's next one will be (None = no other waits)."""

    deliveries: tuple[QueuedDelivery, ...]
    next_due_at: str | None


_COLUMNS = (
    "sequence, delivery_id, installation_id, event_name, ordering_key, state, attempts,"
    " enqueued_at, due_at, last_error, actor, data"
)


def enqueue(connection: sqlite3.Connection, deliveries: Sequence[NewDelivery], *, enqueued_at: str) -> list[str]:
    """Queue deliveries within the caller's transaction and give their ids.

    A delivery whose idempotency key was used for its installation before is not queued again: its id is
    that of the first.
    """
    delivery_ids = []
    rows = []
    for delivery in deliveries:
        delivery_id = new_id()
        known_id = _known_id(connection, delivery, delivery_id, enqueued_at)
        delivery_ids.append(known_id or delivery_id)
        if known_id is None:
            rows.append(
                (
                    delivery_id,
                    delivery.installation_id,
                    delivery.event_name,
                    delivery.ordering_key,
                    enqueued_at,
                    enqueued_at,
                    delivery.actor,
                    delivery.data,
                )
            )
    connection.executemany(
        "INSERT INTO queue (delivery_id, installation_id, event_name, ordering_key, state, enqueued_at, due_at,"
        " actor, data) VALUES (?, ?, ?, ?, 'waiting', ?, ?, ?, ?)",
        rows,
    )
    return delivery_ids


def _known_id(connection: sqlite3.Connection, delivery: NewDelivery, delivery_id: str, enqueued_at: str) -> str | None:
    if delivery.idempotency_key is None:
        return None
    row = connection.execute(
        "SELECT delivery_id FROM idempotency_keys WHERE installation_id = ? AND idempotency_key = ?",
        (delivery.installation_id, delivery.idempotency_key),
    ).fetchone()
    if row is not None:
        return str(row[0])
    connection.execute(
        "INSERT INTO idempotency_keys VALUES (?, ?, ?, ?)",
        (delivery.installation_id, delivery.idempotency_key, delivery_id, enqueued_at),
    )
    return None


def forget_idempotency_keys(connection: sqlite3.Connection, *, older_than: str, limit: int = 1000) -> int:
    """Drop idempotency keys of before a moment, at most `limit` of them; give how many."""
    return connection.execute(
        "DELETE FROM idempotency_keys WHERE (installation_id, idempotency_key) IN"
        " (SELECT installation_id, idempotency_key FROM idempotency_keys WHERE enqueued_at < ? LIMIT ?)",
        (older_than, limit),
    ).rowcount


def installations_with_waiting(
    connection: sqlite3.Connection, *, after_sequence: int = 0
) -> tuple[tuple[str, ...], int]:
    """Name the installations with deliveries queued after a sequence number, and give the newest number."""
    (newest,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM queue").fetchone()
    if after_sequence == 0:  # all of them: by the index, without touching the payloads
        rows = connection.execute("SELECT DISTINCT installation_id FROM queue WHERE state = 'waiting'")
    elif newest <= after_sequence:
        return (), after_sequence
    else:
        rows = connection.execute(
            "SELECT DISTINCT installation_id FROM queue WHERE sequence > ? AND state = 'waiting'",
            (after_sequence,),
        )
    return tuple(row[0] for row in rows), max(newest, after_sequence)


def newest_sequence(connection: sqlite3.Connection) -> int:
    """Give the sequence number of the newest delivery that was ever queued, 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'queue'").fetchone()
    return int(row[0]) if row else 0


def claim(
    connection: sqlite3.Connection,
    installation_id: str,
    *,
    due_at: str,
    limit: int,
    held_sequences: Collection[int] = (),
) -> Claim:
    """Read up to `limit` deliveries of an installation that are due and not held already, longest due first.

    Nothing is written: what is claimed and then forgotten by a crash is still waiting.
    """
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM queue WHERE installation_id = ? AND state = 'waiting' AND due_at <= ?"  # noqa: S608
        " ORDER BY due_at, sequence LIMIT ?",
        (installation_id, due_at, limit + len(held_sequences)),
    )
    deliveries = tuple(QueuedDelivery(*row) for row in rows if row[0] not in held_sequences)[:limit]
    if len(deliveries) == limit:
        return Claim(deliveries, due_at)
    (next_due_at,) = connection.execute(
        "SELECT min(due_at) FROM queue WHERE installation_id = ? AND state = 'waiting' AND due_at > ?",
        (installation_id, due_at),
    ).fetchone()
    return Claim(deliveries, next_due_at)


# The four ends of an attempt. Each names the attempt that it answers and says whether the queue still waited
# for it: an outcome that comes twice (a crash, a second sender) changes nothing and is counted once.
_STILL_WAITS = " WHERE sequence = ? AND attempts = ? AND state = 'waiting'"


def remove_delivered(connection: sqlite3.Connection, delivery: QueuedDelivery) -> bool:
    """Take a delivered delivery out."""
    cursor = connection.execute("DELETE FROM queue" + _STILL_WAITS, (delivery.sequence, delivery.attempts))  # noqa: S608
    return cursor.rowcount == 1


def mark_retry(connection: sqlite3.Connection, delivery: QueuedDelivery, *, due_at: str, last_error: str) -> bool:
    """Keep a delivery for its next attempt."""
    return _update(connection, delivery, "attempts = attempts + 1, due_at = ?, last_error = ?", (due_at, last_error))


def mark_dead(connection: sqlite3.Connection, delivery: QueuedDelivery, *, last_error: str) -> bool:
    """Keep a delivery whose attempts are used up."""
    return _update(connection, delivery, "attempts = attempts + 1, state = 'dead', last_error = ?", (last_error,))


def mark_missed(connection: sqlite3.Connection, delivery: QueuedDelivery) -> bool:
    """Keep a delivery that met an installation that is not active."""
    return _update(connection, delivery, "state = 'missed'", ())


def _update(
    connection: sqlite3.Connection, delivery: QueuedDelivery, assignments: str, values: tuple[str, ...]
) -> bool:
    cursor = connection.execute(
        f"UPDATE queue SET {assignments}" + _STILL_WAITS,  # noqa: S608
        (*values, delivery.sequence, delivery.attempts),
    )
    return cursor.rowcount == 1


def put_back(connection: sqlite3.Connection, delivery: QueuedDelivery, *, due_at: str) -> bool:
    """Let a dead or missed delivery wait again, with all its attempts before it."""
    cursor = connection.execute(
        "UPDATE queue SET state = 'waiting', attempts = 0, due_at = ?"
        " WHERE sequence = ? AND state = ? AND state != 'waiting'",
        (due_at, delivery.sequence, delivery.state),
    )
    return cursor.rowcount == 1


def drop(connection: sqlite3.Connection, delivery: QueuedDelivery) -> bool:
    """Give a dead or missed delivery up."""
    cursor = connection.execute(
        "DELETE FROM queue WHERE sequence = ? AND state = ? AND state != 'waiting'",
        (delivery.sequence, delivery.state),
    )
    return cursor.rowcount == 1


def find_delivery(connection: sqlite3.Connection, delivery_id: str) -> QueuedDelivery | None:
    """Read one delivery by its id, None when the queue does not hold it (any more)."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM queue WHERE delivery_id = ?", (delivery_id,)).fetchone()  # noqa: S608
    return QueuedDelivery(*row) if row else None


def read_deliveries(
    connection: sqlite3.Connection,
    *,
    state: str | None = None,
    installation_id: str | None = None,
    limit: int = 100,
) -> tuple[QueuedDelivery, ...]:
    """Read what the queue holds, in the order of queueing; a negative limit = all."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM queue WHERE (:state IS NULL OR state = :state)"  # noqa: S608
        " AND (:installation IS NULL OR installation_id = :installation) ORDER BY sequence LIMIT :limit",
        {"state": state, "installation": installation_id, "limit": limit},
    )
    return tuple(QueuedDelivery(*row) for row in rows)


def count_deliveries(connection: sqlite3.Connection, installation_id: str | None = None) -> dict[str, int]:
    """Count deliveries by state: waiting, missed, dead."""
    counts = {"waiting": 0, "missed": 0, "dead": 0}
    counts.update(
        connection.execute(
            "SELECT state, count(*) FROM queue WHERE (:id IS NULL OR installation_id = :id) GROUP BY state",
            {"id": installation_id},
        ).fetchall()
    )
    return counts
