"""The kept deliveries of the queue beside the ledger that was rebuilt: where they differ, and what can be repaired.

What waits is the queue's own: its payloads stand nowhere else, and queueing leaves no event. It is looked at only
where the events know a delivery to be kept. And no payload comes back: what the queue has lost is put back without
one, to be seen and dropped.
"""

import sqlite3
from collections.abc import Iterator

from eventstore.events.catalogue import DeliveryDropped, DeliverySucceeded
from replay.check.comparison import Difference, Repaired, Value, readable, row_text

__all__ = ["QUEUE", "count_waiting", "count_without_payload", "find_strays", "kept_differences", "repair_kept"]

QUEUE = "queue"

# Where there is no row, or one that says so, the payload is gone: then it can't wait, whatever the events say.
_IS_WITHOUT_PAYLOAD = "(kept.delivery_id IS NULL OR (kept.is_expired AND kept.data = '{}'))"
_WHILE_WAITING = "CASE WHEN ledger.is_waiting THEN {} END"
# What each column is to hold: what the events say and, where they say nothing, what it holds.
_EXPECTED = {
    "state": f"CASE WHEN ledger.is_waiting AND NOT {_IS_WITHOUT_PAYLOAD} THEN 'waiting' ELSE ledger.state END",
    "installation_id": "ledger.installation_id",
    "event_name": "ledger.event_name",
    "attempts": f"coalesce({_WHILE_WAITING.format('kept.attempts')}, ledger.attempts)",
    "enqueued_at": "coalesce(ledger.enqueued_at, kept.enqueued_at, ledger.kept_at)",
    "last_error": f"coalesce({_WHILE_WAITING.format('kept.last_error')}, ledger.last_error, kept.last_error, '')",
    "is_expired": f"ledger.is_expired OR {_IS_WITHOUT_PAYLOAD}",
}
_COLUMNS = tuple(_EXPECTED)
_LISTED = ", ".join(_COLUMNS)
_LIVE = ", ".join(f"kept.{name}" for name in _COLUMNS)
_DIFFERING = (
    "FROM main.ledger LEFT JOIN live.queue AS kept USING (delivery_id)"
    f" WHERE ({_LIVE}) IS NOT ({', '.join(_EXPECTED.values())})"
)
_CORRECTIONS = (
    "CREATE TEMP TABLE corrections AS SELECT delivery_id, kept.delivery_id IS NOT NULL AS is_there, "
    + ", ".join(f"{expected} AS {name}" for name, expected in _EXPECTED.items())
    + f" {_DIFFERING}"
)

# Kept, and the events do not know it to be: it is over, as it was delivered or dropped; or it never ended, and waits.
_IS_STRAY = (
    "FROM live.queue AS kept LEFT JOIN main.ledger USING (delivery_id)"
    " WHERE kept.state != 'waiting' AND ledger.delivery_id IS NULL"
)
_STRAYS = "FROM temp.strays JOIN live.queue AS kept USING (delivery_id) WHERE kept.state != 'waiting'"
_ENDS = (DeliverySucceeded.type_name, DeliveryDropped.type_name)


def find_strays(connection: sqlite3.Connection) -> None:
    """Note in a temporary table what is kept without the events knowing it to be; only then they are read once more."""
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS strays (delivery_id TEXT PRIMARY KEY, is_over INTEGER NOT NULL)"
    )
    connection.execute("DELETE FROM temp.strays")
    found = connection.execute(f"INSERT INTO temp.strays SELECT kept.delivery_id, 0 {_IS_STRAY}")
    if found.rowcount:
        connection.execute(
            "UPDATE temp.strays SET is_over = 1 WHERE delivery_id IN (SELECT"
            " CASE WHEN json_valid(data) THEN json_extract(data, '$.delivery_id') END"
            " FROM live.events WHERE type IN (?, ?))",
            _ENDS,
        )


def kept_differences(connection: sqlite3.Connection) -> Iterator[Difference]:
    """Compare the kept deliveries, within the caller's transaction, in which find_strays has been called."""
    rows = connection.execute(
        f"SELECT delivery_id, kept.delivery_id IS NOT NULL, {_LIVE}, {', '.join(_EXPECTED.values())} {_DIFFERING}"
    )
    for delivery_id, is_there, *values in rows:
        live, rebuilt = _halves(values)
        key = {"delivery_id": readable(delivery_id)}
        if not is_there:
            yield Difference(QUEUE, key, "", None, row_text(_COLUMNS, rebuilt))
            continue
        for field, *pair in zip(_COLUMNS, live, rebuilt, strict=True):
            if pair[0] != pair[1]:
                yield Difference(QUEUE, key, field, *pair)
    yield from _stray_differences(connection)


def _halves(values: list[object]) -> tuple[list[Value], list[Value]]:
    shown = [readable(value) for value in values]
    return shown[: len(_COLUMNS)], shown[len(_COLUMNS) :]


def _stray_differences(connection: sqlite3.Connection) -> Iterator[Difference]:
    rows = connection.execute(
        f"SELECT delivery_id, is_over, {_LIVE} {_STRAYS} AND (is_over OR NOT {_IS_WITHOUT_PAYLOAD})"
    )
    for delivery_id, is_over, *values in rows:
        key, row = {"delivery_id": readable(delivery_id)}, [readable(value) for value in values]
        if is_over:
            yield Difference(QUEUE, key, "", row_text(_COLUMNS, row), None)
        else:
            yield Difference(QUEUE, key, "state", row[0], "waiting")


def repair_kept(connection: sqlite3.Connection) -> Repaired:
    """Bring the kept deliveries into step as far as that can be, within the caller's transaction.

    A stray that find_strays has not met stays as it is.
    """
    connection.execute(_CORRECTIONS)
    inserted = connection.execute(
        f"INSERT INTO live.queue (delivery_id, {_LISTED}, due_at, ordering_key, data)"  # noqa: S608 - as above
        f" SELECT delivery_id, {_LISTED}, enqueued_at, '', '{{}}' FROM temp.corrections WHERE NOT is_there"
        " ORDER BY enqueued_at, delivery_id"
    ).rowcount
    updated = connection.execute(
        f"UPDATE live.queue SET {', '.join(f'{name} = corrections.{name}' for name in _COLUMNS)},"  # noqa: S608 - as above
        " is_recovery = is_recovery AND corrections.state = 'waiting',"
        " data = CASE WHEN corrections.is_expired THEN '{}' ELSE data END,"
        " actor = CASE WHEN corrections.is_expired THEN NULL ELSE actor END"
        " FROM temp.corrections WHERE corrections.delivery_id = queue.delivery_id AND corrections.is_there"
    ).rowcount
    connection.execute("DROP TABLE temp.corrections")
    deleted = connection.execute(
        f"DELETE FROM live.queue WHERE delivery_id IN (SELECT delivery_id {_STRAYS} AND is_over)"  # noqa: S608 - as above
    ).rowcount
    updated += connection.execute(
        f"UPDATE live.queue SET state = 'waiting' WHERE delivery_id IN (SELECT delivery_id {_STRAYS}"  # noqa: S608 - as above
        f" AND NOT {_IS_WITHOUT_PAYLOAD})"
    ).rowcount
    return Repaired(QUEUE, inserted, updated, deleted)


def count_waiting(connection: sqlite3.Connection) -> int:
    """Count what waits, and was not compared."""
    (count,) = connection.execute("SELECT count(*) FROM live.queue WHERE state = 'waiting'").fetchone()
    return int(count)


def count_without_payload(connection: sqlite3.Connection) -> int:
    """Count the kept deliveries that have lost their payload, though the events do not say that it was dropped."""
    (count,) = connection.execute(
        f"SELECT count(*) FROM live.queue AS kept LEFT JOIN main.ledger USING (delivery_id)"  # noqa: S608 - as above
        f" WHERE kept.state != 'waiting' AND {_IS_WITHOUT_PAYLOAD} AND NOT coalesce(ledger.is_expired, 0)"
    ).fetchone()
    return int(count)
