"""Queueing deliveries: as rows, or as packed batches of which rows are made later."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from eventstore.common.connection import Connection
from eventstore.common.identifiers import new_ids
from eventstore.queue.checksum import payload_checksum
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.idempotency import first_id
from eventstore.queue.packed_batches import Packed, WrappedBatch, pack, store, take_packed_batch
from eventstore.sqlite.bulk import insert_rows

__all__ = ["Batch", "enqueue", "enqueue_batch", "prepare", "unpack"]

# Deliveries of one call that are kept in packed batches rather than as rows.
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
    """Deliveries that are about to be queued together, with their ids; `packed_batches` where they are kept so."""

    deliveries: Sequence[NewDelivery]
    delivery_ids: Sequence[str]
    packed_batches: Sequence[WrappedBatch]


def enqueue(
    connection: Connection,
    deliveries: Sequence[NewDelivery],
    *,
    enqueued_at: str,
    in_packed_batches: bool = False,
) -> list[str]:
    """Queue deliveries as `prepare` and `enqueue_batch` do, for those who need not hurry, and return their ids."""
    return enqueue_batch(connection, prepare(deliveries, in_packed_batches=in_packed_batches), enqueued_at=enqueued_at)


def prepare(deliveries: Sequence[NewDelivery], *, in_packed_batches: bool = True) -> Batch:
    """Do what can be done before taking the writer lock. `in_packed_batches`: where they are many, they are packed."""
    made_ids = new_ids(len(deliveries))
    ids = [delivery.delivery_id or made_id for delivery, made_id in zip(deliveries, made_ids, strict=True)]
    # An id that the producer has made may be in the queue already: that is said to it, and to nobody later.
    in_packed_batches = (
        in_packed_batches and len(deliveries) >= _MANY and not any(delivery.delivery_id for delivery in deliveries)
    )
    return Batch(deliveries, ids, pack(list(map(_packed, deliveries, ids))) if in_packed_batches else ())


def enqueue_batch(connection: Connection, batch: Batch, *, enqueued_at: str) -> list[str]:
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
    if not batch.packed_batches:
        _insert(connection, [_packed(*one) for one in fresh], enqueued_at)
    elif fresh:
        are_all_fresh = len(fresh) == len(batch.deliveries)
        packed_batches = batch.packed_batches if are_all_fresh else pack([_packed(*one) for one in fresh])
        store(connection, packed_batches, enqueued_at=enqueued_at)
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


def unpack(connection: Connection, first_sequence: int) -> None:
    """Make rows of a packed batch's deliveries, unless another process has; one whose id has a row already is that one.

    One that cannot be read any more is kept apart (`damaged_packed_batches`), so that it holds up nothing.
    """
    packed_batch = take_packed_batch(connection, first_sequence)
    if packed_batch is not None:
        _insert(
            connection,
            packed_batch.deliveries,
            packed_batch.enqueued_at,
            insert="INSERT OR IGNORE",
            first=first_sequence,
        )


def _insert(
    connection: Connection,
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
