"""The durable local queue: deliveries that wait, were missed, or are dead, with their payloads."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from eventstore.common.identifiers import new_id, new_ids
from eventstore.errors import DatabaseError
from eventstore.policies.waits import QueuedWait
from eventstore.queue.checksum import payload_checksum
from eventstore.queue.idempotency import first_id
from eventstore.queue.packed_batches import Packed, Wrapped, put_away, reserve_sequences, take_parcel, wrap
from eventstore.sqlite.bulk import insert_rows, json_list

__all__ = [
    "PROBE_DUE_AT",
    "QUEUE_COLUMNS",
    "Batch",
    "Claim",
    "NewDelivery",
    "QueuedDelivery",
    "claim",
    "draw_attention",
    "drop",
    "drop_probe",
    "drop_waiting",
    "enqueue",
    "enqueue_batch",
    "enqueue_probe",
    "error_text",
    "expire",
    "find_row",
    "has_waiting_probe",
    "installations_with_waiting",
    "is_first_of_its_key",
    "is_recovering",
    "make_due",
    "mark_dead",
    "mark_missed",
    "mark_retry",
    "newest_sequence",
    "open_parcel",
    "prepare",
    "put_back",
    "read_expiring",
    "recover_missed",
    "remove_delivered",
    "skip_sequences",
]

# When test deliveries are due: before every moment at which anything else can be.
PROBE_DUE_AT = "0001-01-01T00:00:00.000000Z"


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """What a producer hands over. `data` and `actor` are compact JSON; an empty `ordering_key` = no order.

    `delivery_id`: a UUID that the producer has made, None = it is made here.
    """

    installation_id: str
    event_name: str
    data: str
    actor: str | None = None
    ordering_key: str = ""
    idempotency_key: str | None = None
    delivery_id: str | None = None


class QueuedDelivery(msgspec.Struct, frozen=True):
    """A row of the queue. `attempts` are those already made; `actor` None = the platform itself.

    `is_probe`: a test delivery, which is sent whatever the installation's state; `is_recovery`: it was missed, and
    is sent again; `is_expired`: its payload is gone; `checksum`: that of what was queued, None = it had none then.
    """

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
    is_probe: bool = False
    is_recovery: bool = False
    is_expired: bool = False
    checksum: int | None = None

    @property
    def is_intact(self) -> bool:
        """Whether its payload is what was queued, as far as is known: what is not is never sent."""
        return self.checksum is None or self.checksum == payload_checksum(
            delivery_id=self.delivery_id,
            installation_id=self.installation_id,
            event_name=self.event_name,
            ordering_key=self.ordering_key,
            enqueued_at=self.enqueued_at,
            actor=self.actor,
            data=self.data,
            is_probe=self.is_probe,
        )


@dataclass(frozen=True, slots=True)
class Claim:
    """Deliveries that are due, and when the installation's next one will be (None = no other waits).

    `next_wait`: that next one, where there were fewer than asked for.
    """

    deliveries: tuple[QueuedDelivery, ...]
    next_due_at: str | None
    next_wait: QueuedWait | None = None


QUEUE_COLUMNS = (
    "sequence, delivery_id, installation_id, event_name, ordering_key, state, attempts,"
    " enqueued_at, due_at, last_error, actor, data, is_probe, is_recovery, is_expired, checksum"
)


# Deliveries of one call that are kept in parcels rather than as rows.
_MANY = 64

# Between INSERT and the rows, and behind them. SQLite would rather read all that waits for the installation.
_ENQUEUE = (
    " INTO queue (sequence, delivery_id, installation_id, event_name, ordering_key, state, enqueued_at, due_at,"
    " actor, data, checksum, is_behind) SELECT column1, column2, column3, column4, column5, 'waiting', column6,"
    " column6, column7, column8, column9, column10 OR EXISTS (SELECT 1 FROM queue INDEXED BY queue_by_ordering_key"
    "  WHERE installation_id = column3 AND ordering_key = column5 AND ordering_key != '' AND state = 'waiting'"
    "  AND (column1 IS NULL OR sequence < column1)) FROM ("
)
_ENQUEUED = ")"


@dataclass(frozen=True, slots=True)
class Batch:
    """Deliveries that are about to be queued together, with their ids; `parcels` where they are to be kept in those."""

    deliveries: Sequence[NewDelivery]
    delivery_ids: Sequence[str]
    parcels: Sequence[Wrapped]


def enqueue(
    connection: sqlite3.Connection, deliveries: Sequence[NewDelivery], *, enqueued_at: str, in_parcels: bool = False
) -> list[str]:
    """Queue deliveries as `prepare` and `enqueue_batch` do, for those who need not hurry, and give their ids."""
    return enqueue_batch(connection, prepare(deliveries, in_parcels=in_parcels), enqueued_at=enqueued_at)


def prepare(deliveries: Sequence[NewDelivery], *, in_parcels: bool = True) -> Batch:
    """Do what can be done before the turn to write. `in_parcels`: where they are many, parcels are made of them."""
    made_ids = new_ids(len(deliveries))
    ids = [delivery.delivery_id or made_id for delivery, made_id in zip(deliveries, made_ids, strict=True)]
    # An id that the producer has made may be in the queue already: that is said to it, and to nobody later.
    in_parcels = in_parcels and len(deliveries) >= _MANY and not any(delivery.delivery_id for delivery in deliveries)
    return Batch(deliveries, ids, wrap(list(map(_packed, deliveries, ids))) if in_parcels else ())


def enqueue_batch(connection: sqlite3.Connection, batch: Batch, *, enqueued_at: str) -> list[str]:
    """Queue deliveries within the caller's transaction and give their ids.

    A delivery whose idempotency key was used for its installation before is not queued again: its id is
    that of the first.
    """
    delivery_ids = []
    fresh: list[tuple[NewDelivery, str]] = []
    for delivery, delivery_id in zip(batch.deliveries, batch.delivery_ids, strict=True):
        key, known_id = delivery.idempotency_key, None
        if key is not None:
            known_id = first_id(connection, delivery.installation_id, key, delivery_id, enqueued_at)
        delivery_ids.append(known_id or delivery_id)
        if known_id is None:
            fresh.append((delivery, delivery_id))
    if not batch.parcels:
        _insert(connection, [_packed(*one) for one in fresh], enqueued_at)
    elif fresh:
        are_all_fresh = len(fresh) == len(batch.deliveries)
        parcels = batch.parcels if are_all_fresh else wrap([_packed(*one) for one in fresh])
        put_away(connection, parcels, enqueued_at=enqueued_at)
    return delivery_ids


def _packed(delivery: NewDelivery, delivery_id: str) -> Packed:
    return Packed(
        delivery_id,
        delivery.installation_id,
        delivery.event_name,
        delivery.ordering_key,
        delivery.actor,
        msgspec.Raw(delivery.data.encode()),
    )


def open_parcel(connection: sqlite3.Connection, first_sequence: int) -> None:
    """Make rows of a parcel's deliveries, unless another process has; one whose id has a row already is that one.

    One that cannot be read any more is kept apart (`damaged_parcels`), so that it holds up nothing.
    """
    parcel = take_parcel(connection, first_sequence)
    if parcel is not None:
        _insert(connection, parcel.deliveries, parcel.enqueued_at, insert="INSERT OR IGNORE", first=first_sequence)


def _insert(
    connection: sqlite3.Connection,
    deliveries: Sequence[Packed],
    enqueued_at: str,
    *,
    insert: str = "INSERT",
    first: int | None = None,
) -> None:
    """Write rows; `first`: the sequence number of the first of them, None = the next ones."""
    rows = []
    keys: set[tuple[str, str]] = set()
    for number, one in enumerate(deliveries):
        key = (one.installation_id, one.ordering_key)
        data = bytes(one.data).decode()
        rows.append(
            (
                None if first is None else first + number,
                one.delivery_id,
                one.installation_id,
                one.event_name,
                one.ordering_key,
                enqueued_at,
                one.actor,
                data,
                payload_checksum(
                    delivery_id=one.delivery_id,
                    installation_id=one.installation_id,
                    event_name=one.event_name,
                    ordering_key=one.ordering_key,
                    enqueued_at=enqueued_at,
                    actor=one.actor,
                    data=data,
                ),
                # Rows of one statement do not see each other.
                key in keys,
            )
        )
        if one.ordering_key:
            keys.add(key)
    insert_rows(connection, insert + _ENQUEUE, rows, _ENQUEUED)


def enqueue_probe(
    connection: sqlite3.Connection, installation_id: str, *, event_name: str, data: str, enqueued_at: str
) -> str:
    """Queue a test delivery before everything else of its installation, and give its id."""
    delivery_id = new_id()
    checksum = payload_checksum(
        delivery_id=delivery_id,
        installation_id=installation_id,
        event_name=event_name,
        ordering_key="",
        enqueued_at=enqueued_at,
        actor=None,
        data=data,
        is_probe=True,
    )
    connection.execute(
        "INSERT INTO queue (delivery_id, installation_id, event_name, ordering_key, state, enqueued_at, due_at,"
        " is_probe, data, checksum) VALUES (?, ?, ?, '', 'waiting', ?, ?, 1, ?, ?)",
        (delivery_id, installation_id, event_name, enqueued_at, PROBE_DUE_AT, data, checksum),
    )
    return delivery_id


def has_waiting_probe(connection: sqlite3.Connection, installation_id: str) -> bool:
    """Say whether a test delivery to an installation waits, or is under way."""
    row = connection.execute(
        "SELECT 1 FROM queue WHERE installation_id = ? AND state = 'waiting' AND NOT is_behind AND due_at = ?"
        " AND is_probe",
        (installation_id, PROBE_DUE_AT),
    ).fetchone()
    return row is not None


def drop_probe(connection: sqlite3.Connection, delivery_id: str) -> bool:
    """Take a test delivery out that nobody waits for any more; an outcome that comes later is not recorded."""
    return connection.execute("DELETE FROM queue WHERE delivery_id = ? AND is_probe", (delivery_id,)).rowcount == 1


def draw_attention(connection: sqlite3.Connection) -> None:
    """Let a running daemon look at the whole queue again, for what has no new sequence number."""
    connection.execute("UPDATE attention SET version = version + 1")


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
        # NOT INDEXED: SQLite would rather scan the whole index by installation, with each ring of a long queue.
        rows = connection.execute(
            "SELECT DISTINCT installation_id FROM queue NOT INDEXED WHERE sequence > ? AND state = 'waiting'",
            (after_sequence,),
        )
    return tuple(row[0] for row in rows), max(newest, after_sequence)


def newest_sequence(connection: sqlite3.Connection) -> int:
    """Give the sequence number of the newest delivery that was ever queued, 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'queue'").fetchone()
    return int(row[0]) if row else 0


def skip_sequences(connection: sqlite3.Connection, up_to_sequence: int) -> None:
    """Give no sequence number up to that one any more, as deliveries had them that are lost."""
    count = up_to_sequence - newest_sequence(connection)
    if count > 0:
        reserve_sequences(connection, count)


def is_first_of_its_key(alias: str) -> str:
    """Give the condition that no earlier delivery of the same ordering key waits."""
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


def find_row(connection: sqlite3.Connection, delivery_id: str) -> QueuedDelivery | None:
    """Read one delivery by its id, None when it has no row: it lies in a parcel, has left the queue, or never was."""
    row = connection.execute(f"SELECT {QUEUE_COLUMNS} FROM queue WHERE delivery_id = ?", (delivery_id,)).fetchone()  # noqa: S608 - as above
    return QueuedDelivery(*row) if row else None


_NO_LIMIT = 2**62  # beyond every sequence number
_encode = msgspec.json.Encoder().encode
_decode_waits = msgspec.json.Decoder(dict[str, QueuedWait | None]).decode


def claim(
    connection: sqlite3.Connection,
    limits: Mapping[str, int],
    *,
    due_at: str,
    held_sequences: Collection[int] = (),
    before: Mapping[str, int] = MappingProxyType({}),
    known_parcel: int = 0,
) -> dict[str, Claim]:
    """Read up to so many deliveries of each installation that are due and not held already, longest due first.

    Of those that share an ordering key only the first one queued is read, and the next once that has left the queue
    or is dead: none overtakes another, not even a late retry, and no key holds up the others. What is being
    recovered is read one by one, in the order of queueing, each when the first attempt at the one before is over.
    `before`: the installations' first parcels, `known_parcel`: the newest of which the caller knows. What was queued
    behind a parcel waits for it.
    Nothing is written: what is claimed and then forgotten by a crash is still waiting.
    """
    rows = _read_claimed(
        connection,
        {
            "before": _encode({one: before.get(one, _NO_LIMIT) for one in limits}),
            "no_limit": _NO_LIMIT,
            "known": known_parcel,
            "due_at": due_at,
            "held": json_list(held_sequences),
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
    # One of them holds what is no text any more. It is read as other text, which its checksum does not fit.
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


def error_text(status_code: int, error_class: str) -> str:
    """Give what a row says of its last failure: a status code and a class, or the class alone."""
    return f"{status_code} {error_class}" if status_code else error_class


# The four ends of an attempt. Each names the attempt that it answers and says whether the queue still waited
# for it: an outcome that comes twice (a crash, a second sender) changes nothing and is counted once.
_STILL_WAITS = " WHERE sequence = ? AND attempts = ? AND state = 'waiting'"


def remove_delivered(connection: sqlite3.Connection, deliveries: Sequence[QueuedDelivery]) -> list[bool]:
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


def mark_retry(connection: sqlite3.Connection, delivery: QueuedDelivery, *, due_at: str, last_error: str) -> bool:
    """Keep a delivery for its next attempt."""
    return _update(connection, delivery, "attempts = attempts + 1, due_at = ?, last_error = ?", (due_at, last_error))


def mark_dead(connection: sqlite3.Connection, delivery: QueuedDelivery, *, last_error: str) -> bool:
    """Keep a delivery whose attempts are used up."""
    assignments = "attempts = attempts + 1, state = 'dead', is_recovery = 0, last_error = ?"
    return _update(connection, delivery, assignments, (last_error,))


def mark_missed(connection: sqlite3.Connection, delivery: QueuedDelivery) -> bool:
    """Keep a delivery that met an installation that is not active."""
    return _update(connection, delivery, "state = 'missed', is_recovery = 0", ())


def _update(
    connection: sqlite3.Connection, delivery: QueuedDelivery, assignments: str, values: tuple[str, ...]
) -> bool:
    cursor = connection.execute(
        f"UPDATE queue SET {assignments}" + _STILL_WAITS,  # noqa: S608
        (*values, delivery.sequence, delivery.attempts),
    )
    return cursor.rowcount == 1


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
