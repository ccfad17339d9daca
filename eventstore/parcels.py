"""Parcels: what the deliveries of a large batch are kept as until they are wanted.

A row of the queue stands in indexes that are made for sending, and takes several times as long to write as the text of
its delivery; and the texts of a batch are much alike, so that compressed they are a fraction. Who queues many at once
wraps them before its turn to write, and has the turn for a moment only; the daemon makes rows of them, a parcel at a
time, shortly before it sends them.

A parcel is a promise about order too: its deliveries have their sequence numbers from the start, and what was queued
for one of its installations later waits until it is opened (`work_queue.claim`).
"""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec
import zstandard

__all__ = [
    "Packed",
    "Parcel",
    "Wrapped",
    "is_unopened",
    "put_away",
    "read_parcels",
    "take_parcel",
    "unopened_parcels",
    "wrap",
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


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A parcel that is not in the queue yet: its columns."""

    delivery_count: int
    installations: str
    deliveries: bytes


# At its quickest, and still a fifth of JSON whose texts are all different: 2 us a delivery, 1 us to open it.
_COMPRESSION_LEVEL = 1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Packed]).decode
_decode_counts = msgspec.json.Decoder(dict[str, int]).decode


def wrap(deliveries: Sequence[Packed]) -> list[Wrapped]:
    """Make parcels of deliveries that follow each other."""
    compress = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress
    wrapped = []
    for start in range(0, len(deliveries), _MOST_DELIVERIES):
        some = deliveries[start : start + _MOST_DELIVERIES]
        counts = Counter(one.installation_id for one in some)
        wrapped.append(Wrapped(len(some), _encode(counts).decode(), compress(_encode(some))))
    return wrapped


def put_away(connection: sqlite3.Connection, parcels: Sequence[Wrapped], *, enqueued_at: str) -> None:
    """Write parcels, behind all that is in the queue."""
    first_sequence = _reserve(connection, sum(parcel.delivery_count for parcel in parcels))
    for parcel in parcels:
        connection.execute(
            "INSERT INTO parcels VALUES (?, ?, ?, ?, ?)",
            (first_sequence, parcel.delivery_count, enqueued_at, parcel.installations, parcel.deliveries),
        )
        first_sequence += parcel.delivery_count


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
    if row is None:
        return None
    first_sequence, enqueued_at, deliveries = row
    return Parcel(first_sequence, enqueued_at, _decode(_decompress(deliveries)))


def read_parcels(
    connection: sqlite3.Connection, *, installation_id: str | None = None, holding: str = ""
) -> Iterator[Parcel]:
    """Read parcels, in the order of queueing; only those with deliveries to an installation, or with a text in them."""
    rows = connection.execute(
        "SELECT first_sequence, enqueued_at, deliveries FROM parcels"
        " WHERE (:id IS NULL OR instr(installations, :id)) ORDER BY first_sequence",
        {"id": installation_id},
    )
    wanted = holding.encode()
    for first_sequence, enqueued_at, deliveries in rows:
        text = _decompress(deliveries)
        if wanted in text:
            yield Parcel(first_sequence, enqueued_at, _decode(text))


def _decompress(deliveries: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(deliveries)
