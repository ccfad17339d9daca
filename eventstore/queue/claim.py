"""What is due: read and handed out, never written."""

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from eventstore.errors import DatabaseError
from eventstore.policies.waits import QueuedWait
from eventstore.queue.delivery import QUEUE_COLUMNS, QueuedDelivery
from eventstore.sqlite.bulk import json_list

__all__ = ["Claim", "claim", "installations_with_waiting", "is_first_of_its_key"]


@dataclass(frozen=True, slots=True)
class Claim:
    """Deliveries that are due, and when the installation's next one will be (None = no other waits).

    `next_wait`: that next one, where there were fewer than asked for.
    """

    deliveries: tuple[QueuedDelivery, ...]
    next_due_at: str | None
    next_wait: QueuedWait | None = None


def installations_with_waiting(
    connection: sqlite3.Connection, *, after_sequence: int = 0
) -> tuple[tuple[str, ...], int]:
    """Return the installations with deliveries queued after a sequence number, and the newest number."""
    (newest,) = connection.execute("SELECT coalesce(max(sequence), 0) FROM queue").fetchone()
    if after_sequence == 0:  # all of them: by the index, without touching the payloads
        rows = connection.execute("SELECT DISTINCT installation_id FROM queue WHERE state = 'waiting'")
    elif newest <= after_sequence:
        return (), after_sequence
    else:
        # NOT INDEXED: SQLite would rather scan the whole index by installation, with each ring of a long queue.
        rows = connection.execute(
            "SELECT DISTINCT installation_id FROM queue NOT INDEXED WHERE sequence > ? AND state = 'waiting'",
            (after_sequence,),
        )
    return tuple(row[0] for row in rows), max(newest, after_sequence)


def is_first_of_its_key(alias: str) -> str:
    """Return the condition that no earlier delivery of the same ordering key waits."""
    return (
        f"({alias}.ordering_key = '' OR NOT EXISTS (SELECT 1 FROM queue AS earlier"  # noqa: S608 - a name of a table
        f"   WHERE earlier.installation_id = {alias}.installation_id AND earlier.ordering_key = {alias}.ordering_key"
        f"   AND earlier.ordering_key != '' AND earlier.state = 'waiting' AND earlier.sequence < {alias}.sequence))"
    )


# The one that a recovery is at: it waits for its first attempt, or that is under way.
_NEXT_OF_RECOVERY = (
    "(SELECT recovering.sequence FROM queue AS recovering INDEXED BY queue_of_recoveries"  # noqa: S608 - as above
    " WHERE recovering.installation_id = wanted.key AND recovering.is_recovery AND recovering.state = 'waiting'"
    f" AND recovering.attempts = 0 AND {is_first_of_its_key('recovering')} ORDER BY recovering.sequence LIMIT 1)"
)

_CLAIM = (
    f"SELECT {QUEUE_COLUMNS} FROM json_each(:before) AS wanted CROSS JOIN queue ON sequence IN ("  # noqa: S608 - as above
    " SELECT mine.sequence FROM queue AS mine WHERE mine.installation_id = wanted.key AND mine.state = 'waiting'"
    "  AND mine.is_behind = 0 AND mine.due_at <= :due_at AND mine.sequence NOT IN (SELECT value FROM json_each(:held))"
    "  AND (mine.sequence < wanted.value AND mine.sequence <"
    "    (SELECT coalesce(min(first_sequence), :no_limit) FROM parcels WHERE first_sequence > :known)"
    "   OR mine.is_probe)"
    f"  AND (NOT mine.is_recovery OR mine.attempts > 0 OR mine.sequence = {_NEXT_OF_RECOVERY})"
    f"  AND {is_first_of_its_key('mine')} ORDER BY mine.due_at, mine.sequence LIMIT :limit)"
    " ORDER BY due_at, sequence"
)

_NEXT_DUE = (
    "SELECT json_group_object(value, json((SELECT json_array(due_at, attempts, is_recovery, last_error, sequence)"
    " FROM queue WHERE installation_id = value AND state = 'waiting' AND is_behind = 0 AND due_at > ?"
    " ORDER BY due_at LIMIT 1))) FROM json_each(?)"
)

_NO_LIMIT = 2**62  # beyond every sequence number

_encode = msgspec.json.Encoder().encode

_decode_waits = msgspec.json.Decoder(dict[str, QueuedWait | None]).decode


def claim(
    connection: sqlite3.Connection,
    limits: Mapping[str, int],
    *,
    due_at: str,
    in_flight_sequences: Collection[int] = (),
    before: Mapping[str, int] = MappingProxyType({}),
    known_packed_batch: int = 0,
) -> dict[str, Claim]:
    """Read up to so many deliveries of each installation that are due and not held already, longest due first.

    Of those that share an ordering key only the first one queued is read, and the next once that has left the queue
    or is dead: none overtakes another, not even a late retry, and no key holds up the others. What is being
    recovered is read one by one, in the order of queueing, each when the first attempt at the one before is over.
    `before`: the installations' first packed batches, `known_packed_batch`: the newest known. What was queued
    behind a packed batch waits for it.
    Nothing is written: what is claimed and then forgotten by a crash is still waiting.
    """
    rows = _read_claimed(
        connection,
        {
            "before": _encode({one: before.get(one, _NO_LIMIT) for one in limits}),
            "no_limit": _NO_LIMIT,
            "known": known_packed_batch,
            "due_at": due_at,
            "held": json_list(in_flight_sequences),
            "limit": max(limits.values(), default=0),
        },
    )
    found: dict[str, list[QueuedDelivery]] = {installation_id: [] for installation_id in limits}
    for row in rows:
        delivery = QueuedDelivery(*row)  # type: ignore[arg-type] # columns as they are
        of_one = found.get(delivery.installation_id)
        if of_one is None:  # its row says another one than the index by which it was found
            raise DatabaseError("an index of the queue is damaged: stop the daemon, then hookfuse reindex")
        if len(of_one) < limits[delivery.installation_id]:
            of_one.append(delivery)
    short = [one for one, deliveries in found.items() if len(deliveries) < limits[one]]
    next_due = _next_due(connection, short, after=due_at)
    return {
        one: Claim(tuple(deliveries), *_next_of(next_due[one])) if one in next_due else Claim(tuple(deliveries), due_at)
        for one, deliveries in found.items()
    }


def _next_of(wait: QueuedWait | None) -> tuple[str | None, QueuedWait | None]:
    return (None, None) if wait is None else (wait.due_at, wait)


def _read_claimed(connection: sqlite3.Connection, wanted: Mapping[str, object]) -> list[tuple[object, ...]]:
    try:
        return connection.execute(_CLAIM, wanted).fetchall()
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    # One of them holds what is not text any more. It is read as other text, which its checksum does not fit.
    connection.text_factory = lambda stored: stored.decode(errors="backslashreplace")
    try:
        return connection.execute(_CLAIM, wanted).fetchall()
    finally:
        connection.text_factory = str


def _next_due(
    connection: sqlite3.Connection, installation_ids: Sequence[str], *, after: str
) -> dict[str, QueuedWait | None]:
    if not installation_ids:
        return {}
    (moments,) = connection.execute(_NEXT_DUE, (after, json_list(installation_ids))).fetchone()
    return _decode_waits(moments)
