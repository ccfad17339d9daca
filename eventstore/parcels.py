"""Parcels: what the deliveries of a large batch are kept as until they are wanted.

A row of the queue stands in indexes that are made for sending, and takes several times as long to write as the text of
its delivery. Who queues many at once pays for the text alone, and has the turn to write for as much less; the daemon
makes rows of them, a parcel at a time, shortly before it sends them.

A parcel is a promise about order too: its deliveries have their sequence numbers from the start, and what was queued
for one of its installations later waits until it is opened (`work_queue.claim`).
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

__all__ = [
    "Packed",
    "Parcel",
    "is_unopened",
    "pack",
    "read_parcels",
    "take_parcel",
    "unopened_parcels",
]

# They are made rows at once, in about 2 ms of the turn to write.
_MOST_DELIVERIES = 64


class Packed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A delivery within a parcel; `data` is kept byte by byte."""

    delivery_id: str
    installation_id: str
    event_name: str
    ordering_key: str
    actor: str | None
    data: msgspec.Raw


@dataclass(frozen=True, slots=True)
class Parcel:
    """Deliveries of one batch that follow each other; their sequence numbers were given to them with the first."""

    first_sequence: int
    enqueued_at: str
    deliveries: Sequence[Packed]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Packed]).decode
_decode_counts = msgspec.json.Decoder(dict[str, int]).decode


def pack(connection: sqlite3.Connection, deliveries: Sequence[Packed], *, enqueued_at: str) -> None:
    """Write deliveries as parcels, behind all that is in the queue."""
    first_sequence = _reserve(connection, len(deliveries))
    for start in range(0, len(deliveries), _MOST_DELIVERIES):
        some = deliveries[start : start + _MOST_DELIVERIES]
        counts = Counter(one.installation_id for one in some)
        connection.execute(
            "INSERT INTO parcels VALUES (?, ?, ?, ?, ?)",
            (first_sequence + start, len(some), enqueued_at, _encode(counts).decode(), _encode(some).decode()),
        )


def _reserve(connection: sqlite3.Connection, count: int) -> int:
    """Take sequence numbers from the queue, and give the first of them."""
    row = connection.execute(
        "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = 'queue' RETURNING seq", (count,)
    ).fetchone()
    if row is None:
        connection.execute("INSERT INTO sqlite_sequence VALUES ('queue', ?)", (count,))
        return 1
    return int(row[0]) - count + 1


def unopened_parcels(connection: sqlite3.Connection, *, after_sequence: int) -> list[tuple[int, dict[str, int]]]:
    """Give the first sequence number of each parcel behind that one, and how many deliveries to whom it holds."""
    rows = connection.execute(
        "SELECT first_sequence, installations FROM parcels WHERE first_sequence > ? ORDER BY first_sequence",
        (after_sequence,),
    )
    return [(first_sequence, _decode_counts(counts)) for first_sequence, counts in rows]


def is_unopened(connection: sqlite3.Connection, first_sequence: int) -> bool:
    """Say whether a parcel is there still."""
    row = connection.execute("SELECT 1 FROM parcels WHERE first_sequence = ?", (first_sequence,)).fetchone()
    return row is not None


def take_parcel(connection: sqlite3.Connection, first_sequence: int) -> Parcel | None:
    """Take a parcel out, None = another process did."""
    row = connection.execute(
        "DELETE FROM parcels WHERE first_sequence = ? RETURNING first_sequence, enqueued_at, deliveries",
        (first_sequence,),
    ).fetchone()
    return _parcel(*row) if row else None


def read_parcels(
    connection: sqlite3.Connection, *, installation_id: str | None = None, holding: str = ""
) -> Iterator[Parcel]:
    """Read parcels, in the order of queueing; only those with deliveries to an installation, or with a text in them."""
    rows = connection.execute(
        "SELECT first_sequence, enqueued_at, deliveries FROM parcels"
        " WHERE (:id IS NULL OR instr(installations, :id)) AND (:text = '' OR instr(deliveries, :text))"
        " ORDER BY first_sequence",
        {"id": installation_id, "text": holding},
    )
    return (_parcel(*row) for row in rows)


def _parcel(first_sequence: int, enqueued_at: str, deliveries: str) -> Parcel:
    return Parcel(first_sequence, enqueued_at, _decode(deliveries))
