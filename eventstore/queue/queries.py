"""What the queue holds, for whoever looks at it: its rows, and what lies in packed batches as the rows that it will be.

Both are read as of one moment: in between a packed batch may be opened.
"""

from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from itertools import islice
from operator import attrgetter

from eventstore.common.clock import stored_bound, time_text
from eventstore.common.connection import Connection
from eventstore.policies.waits import latest_pause
from eventstore.queue.claim import is_first_of_its_key
from eventstore.queue.delivery import PROBE_DUE_AT, QUEUE_COLUMNS, QueuedDelivery
from eventstore.queue.packed_batches import PackedBatch, read_packed_batches
from eventstore.sqlite.database import reading

__all__ = [
    "count_deliveries",
    "find_delivery",
    "find_row",
    "longest_due",
    "oldest_waiting",
    "read_deliveries",
    "waits_behind",
]


def find_delivery(connection: Connection, delivery_id: str) -> QueuedDelivery | None:
    """Read one delivery by its id, None when the queue does not hold it (any more)."""
    with reading(connection):
        row = find_row(connection, delivery_id)
        if row is not None:
            return row
        packed = _packed_deliveries(connection, holding=delivery_id)
        return next((one for one in packed if one.delivery_id == delivery_id), None)


def find_row(connection: Connection, delivery_id: str) -> QueuedDelivery | None:
    """Read one delivery by its id, None when it has no row: it is packed, has left the queue, or never was."""
    row = connection.execute(f"SELECT {QUEUE_COLUMNS} FROM queue WHERE delivery_id = ?", (delivery_id,)).fetchone()  # noqa: S608 - as above
    return QueuedDelivery(*row) if row else None


def waits_behind(connection: Connection, delivery: QueuedDelivery) -> str | None:
    """Return the id of the delivery that has to leave the queue, or die, before this one is claimed."""
    with reading(connection):
        row = connection.execute(
            "SELECT sequence, delivery_id FROM queue WHERE installation_id = ? AND ordering_key = ?"
            " AND ordering_key != '' AND state = 'waiting' AND sequence < ? ORDER BY sequence LIMIT 1",
            (delivery.installation_id, delivery.ordering_key, delivery.sequence),
        ).fetchone()
        before = [(int(row[0]), str(row[1]))] if row else []
        if delivery.ordering_key:
            packed = _packed_deliveries(connection, installation_id=delivery.installation_id)
            of_its_key = (
                (one.sequence, one.delivery_id) for one in packed if one.ordering_key == delivery.ordering_key
            )
            before += islice(of_its_key, 1)
        first = min(before, default=None)
        return first[1] if first and first[0] < delivery.sequence else None


# The class is what comes last in an error's text.
_SELECTED = (
    f"SELECT {QUEUE_COLUMNS} FROM queue WHERE (:state IS NULL OR state = :state)"  # noqa: S608 - names of this module
    " AND (:installation IS NULL OR installation_id = :installation)"
    " AND (:event IS NULL OR event_name = :event)"
    " AND (:error IS NULL OR substr(last_error, instr(last_error, ' ') + 1) = :error)"
    " AND (:since IS NULL OR enqueued_at >= :since) AND (:until IS NULL OR enqueued_at <= :until)"
    " ORDER BY sequence LIMIT :limit"
)


def read_deliveries(
    connection: Connection,
    *,
    state: str | None = None,
    installation_id: str | None = None,
    event_name: str | None = None,
    error_class: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int = 100,
) -> tuple[QueuedDelivery, ...]:
    """Read what the queue holds, in the order of queueing; a negative limit = all.

    `error_class` is that of the last failure, `since` and `until` are moments of queueing.
    """
    first, last = stored_bound(since), stored_bound(until)
    selected = {
        "state": state,
        "installation": installation_id,
        "event": event_name,
        "error": error_class,
        "since": first,
        "until": last,
        "limit": limit,
    }
    with reading(connection):
        laid_out = (QueuedDelivery(*row) for row in connection.execute(_SELECTED, selected))
        if state not in {None, "waiting"} or error_class is not None:
            return tuple(laid_out)  # what is packed waits, and has not failed
        packed = (
            one
            for one in _packed_deliveries(connection, installation_id=installation_id)
            if event_name in {None, one.event_name}
            and (first is None or one.enqueued_at >= first)
            and (last is None or one.enqueued_at <= last)
        )
        return tuple(islice(merge(laid_out, packed, key=attrgetter("sequence")), limit if limit >= 0 else None))


def count_deliveries(connection: Connection, installation_id: str | None = None) -> dict[str, int]:
    """Count deliveries by state: waiting, missed, dead."""
    with reading(connection):
        # Not GROUP BY, which sorts all of them first.
        waiting, missed, dead = connection.execute(
            "SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'missed'),"
            " count(*) FILTER (WHERE state = 'dead') FROM queue WHERE (:id IS NULL OR installation_id = :id)",
            {"id": installation_id},
        ).fetchone()
        (packed,) = connection.execute(
            "SELECT coalesce(sum(delivery_count), 0) FROM parcels"
            if installation_id is None
            else "SELECT coalesce(sum(installations ->> ('$.\"' || :id || '\"')), 0) FROM parcels",
            {"id": installation_id},
        ).fetchone()
        return {"waiting": waiting + packed, "missed": missed, "dead": dead}


def oldest_waiting(connection: Connection) -> str | None:
    """Return when the delivery was queued that waits longest, a test delivery aside; None = none waits."""
    # By an index that holds no payloads, however many are kept that do not wait.
    (moment,) = connection.execute(
        "SELECT min(enqueued_at) FROM (SELECT enqueued_at FROM queue WHERE sequence = (SELECT min(sequence) FROM queue"
        " INDEXED BY queue_by_installation WHERE state = 'waiting' AND due_at != ?)"
        " UNION ALL SELECT min(enqueued_at) FROM parcels)",
        (PROBE_DUE_AT,),
    ).fetchone()
    return None if moment is None else str(moment)


_CAN_BE_SENT_TO = (
    "state = 'active' AND breaker_open_until IS NULL"
    " AND (hold_until IS NULL OR hold_until <= :now OR hold_until > :latest)"
)
_LONGEST_DUE = (
    "SELECT min((SELECT mine.due_at FROM queue AS mine WHERE mine.installation_id = installations.installation_id"  # noqa: S608 - names of this module
    " AND mine.state = 'waiting' AND mine.due_at <= :now AND NOT mine.is_probe"
    f" AND (NOT mine.is_recovery OR mine.attempts > 0) AND {is_first_of_its_key('mine')}"
    f" ORDER BY mine.due_at LIMIT 1)) FROM installations WHERE {_CAN_BE_SENT_TO}"
)
_LONGEST_PACKED = (
    "SELECT enqueued_at FROM parcels WHERE EXISTS (SELECT 1 FROM json_each(parcels.installations)"  # noqa: S608 - as above
    f" JOIN installations ON installation_id = key WHERE {_CAN_BE_SENT_TO}) ORDER BY enqueued_at LIMIT 1"
)


def longest_due(connection: Connection, now: datetime) -> str | None:
    """Return since when something is due that could be sent at once, None = nothing is.

    That is: its installation is active, its breaker is closed, no pause was asked for, nothing is before it in its
    ordering key, and it is not a test delivery and no part of a recovery, which is paced.
    """
    with reading(connection):
        moments = {"now": time_text(now), "latest": latest_pause(now)}
        (laid_out,) = connection.execute(_LONGEST_DUE, moments).fetchone()
        packed = connection.execute(_LONGEST_PACKED, moments).fetchone()
        return min((str(one) for one in (laid_out, packed and packed[0]) if one is not None), default=None)


def _packed_deliveries(
    connection: Connection, *, installation_id: str | None = None, holding: str = ""
) -> Iterator[QueuedDelivery]:
    """Read deliveries out of packed batches, in the order of queueing; of one installation, or that hold a text."""
    for packed_batch in read_packed_batches(connection, installation_id=installation_id, holding=holding):
        for one in _unpacked(packed_batch):
            if installation_id in {None, one.installation_id}:
                yield one


def _unpacked(packed_batch: PackedBatch) -> Iterator[QueuedDelivery]:
    """Return the deliveries of a packed batch as the rows that they will be."""
    for number, one in enumerate(packed_batch.deliveries):
        yield QueuedDelivery(
            packed_batch.first_sequence + number,
            one.delivery_id,
            one.installation_id,
            one.event_name,
            one.ordering_key,
            "waiting",
            0,
            packed_batch.enqueued_at,
            packed_batch.enqueued_at,
            "",
            one.actor,
            bytes(one.data).decode(),
        )
