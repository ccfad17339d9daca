"""Packed batches: what the deliveries of a large batch are kept as until they are wanted.

A row of the queue stands in indexes that are made for sending, and takes several times as long to write as the text of
its delivery; and the texts of a batch are much alike, so that compressed they are a fraction. Who queues many at once
packs them before it takes the writer lock, and holds that for a moment only; the daemon makes rows of them, one at a
time, shortly before it sends them.

It is a promise about order too: its deliveries have their sequence numbers from the start, and what was queued
for one of its installations later waits until it is opened (`claim.claim`).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from zlib import crc32

import msgspec
import zstandard

from eventstore.common.connection import Connection
from eventstore.common.lazy_log import LazyLog
from eventstore.queue.sequences import reserve_sequences

__all__ = [
    "Packed",
    "PackedBatch",
    "WrappedBatch",
    "damaged_packed_batch_texts",
    "damaged_packed_batches",
    "forget_damaged_packed_batches",
    "is_unopened",
    "pack",
    "packed_batch_checksum",
    "read_packed_batches",
    "store",
    "take_packed_batch",
    "unopened_packed_batches",
]

# They are made rows at once, in about 2 ms under the writer lock.
_MOST_DELIVERIES = 64


class Packed(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A delivery within a packed batch; `data` is kept byte by byte."""

    delivery_id: str
    installation_id: str
    event_name: str
    ordering_key: str
    actor: str | None
    data: msgspec.Raw


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Deliveries of one batch that follow each other; their sequence numbers were given to them with the first."""

    first_sequence: int
    enqueued_at: str
    deliveries: Sequence[Packed]


@dataclass(frozen=True, slots=True)
class WrappedBatch:
    """A packed batch that is not in the queue yet: its columns."""

    delivery_count: int
    installations: str
    deliveries: bytes


# At its quickest, and still a fifth of JSON whose texts are all different: 2 us a delivery, 1 us to open it.
_COMPRESSION_LEVEL = 1

# No packed batch is larger: so many deliveries of [limits] attachment_bytes at their most.
_MOST_TEXT_BYTES = 1 << 30

_log = LazyLog("hookfuse.queue")
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Packed]).decode
_decode_counts = msgspec.json.Decoder(dict[str, int]).decode


def pack(deliveries: Sequence[Packed]) -> list[WrappedBatch]:
    """Make packed batches of deliveries that follow each other."""
    compress = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress
    wrapped = []
    for start in range(0, len(deliveries), _MOST_DELIVERIES):
        some = deliveries[start : start + _MOST_DELIVERIES]
        counts = Counter(one.installation_id for one in some)
        wrapped.append(WrappedBatch(len(some), _encode(counts).decode(), compress(_encode(some))))
    return wrapped


def store(connection: Connection, packed_batches: Sequence[WrappedBatch], *, enqueued_at: str) -> None:
    """Write packed batches, behind all that is in the queue."""
    first_sequence = reserve_sequences(connection, sum(packed_batch.delivery_count for packed_batch in packed_batches))
    for packed_batch in packed_batches:
        connection.execute(
            "INSERT INTO parcels VALUES (?, ?, ?, ?, ?, ?)",
            (
                first_sequence,
                packed_batch.delivery_count,
                enqueued_at,
                packed_batch.installations,
                packed_batch.deliveries,
                packed_batch_checksum(enqueued_at, packed_batch.installations.encode(), packed_batch.deliveries),
            ),
        )
        first_sequence += packed_batch.delivery_count


def unopened_packed_batches(connection: Connection, *, after_sequence: int) -> list[tuple[int, dict[str, int]]]:
    """Return of each packed batch behind that one its first sequence number, and how many it holds to whom."""
    rows = connection.execute(
        "SELECT first_sequence, installations FROM parcels WHERE first_sequence > ? ORDER BY first_sequence",
        (after_sequence,),
    )
    return [(first_sequence, _decode_counts(counts)) for first_sequence, counts in rows]


def is_unopened(connection: Connection, first_sequence: int) -> bool:
    """Return whether a packed batch is there still."""
    row = connection.execute("SELECT 1 FROM parcels WHERE first_sequence = ?", (first_sequence,)).fetchone()
    return row is not None


def take_packed_batch(connection: Connection, first_sequence: int) -> PackedBatch | None:
    """Take a packed batch out, None = another process did, or it cannot be read and is kept apart."""
    row = connection.execute(
        "DELETE FROM parcels WHERE first_sequence = ?"
        " RETURNING first_sequence, delivery_count, enqueued_at, CAST(installations AS BLOB), deliveries, checksum",
        (first_sequence,),
    ).fetchone()
    if row is None:
        return None
    first_sequence, count, enqueued_at, installations, deliveries, checksum = row
    # Its deliveries have no checksums yet: they are given those of what is in it, if that is what was put there.
    is_intact = _fits(checksum, enqueued_at, installations, deliveries)
    unpacked = _unpack(deliveries) if is_intact else None
    if unpacked is not None and len(unpacked) == count:
        return PackedBatch(first_sequence, enqueued_at, unpacked)
    _keep_apart(connection, (first_sequence, count, enqueued_at, installations, deliveries, checksum))
    return None


def _keep_apart(connection: Connection, row: tuple[int, int, str, bytes, bytes, int | None]) -> None:
    first_sequence, count, enqueued_at, *_ = row
    connection.execute(
        "INSERT INTO damaged_parcels VALUES (?, ?, ?, CAST(? AS TEXT), ?, ?, strftime('%Y-%m-%dT%H:%M:%SZ'))", row
    )
    _log.error(
        "packed_batch_damaged",
        first_sequence=first_sequence,
        deliveries=count,
        enqueued_at=enqueued_at,
        done="kept apart, and not sent; hookfuse doctor names it",
    )


def read_packed_batches(
    connection: Connection, *, installation_id: str | None = None, holding: str = ""
) -> Iterator[PackedBatch]:
    """Read packed batches, in the order of queueing; only those with an installation's deliveries, or a text.

    One that cannot be read is left out.
    """
    rows = connection.execute(
        "SELECT first_sequence, enqueued_at, deliveries FROM parcels"
        " WHERE (:id IS NULL OR instr(installations, :id)) ORDER BY first_sequence",
        {"id": installation_id},
    )
    wanted = holding.encode()
    for first_sequence, enqueued_at, deliveries in rows:
        text = _decompress(deliveries)
        if text is not None and wanted in text:
            unpacked = _decode_or_none(text)
            if unpacked is not None:
                yield PackedBatch(first_sequence, enqueued_at, unpacked)


def damaged_packed_batch_texts(connection: Connection) -> list[str]:
    """Return for each damaged packed batch, kept apart or not yet found, when it was queued and what it held."""
    rows = connection.execute(
        "SELECT first_sequence, delivery_count, enqueued_at, CAST(installations AS BLOB), deliveries, checksum, 0"
        " FROM parcels UNION ALL SELECT first_sequence, delivery_count, enqueued_at, CAST(installations AS BLOB),"
        " deliveries, checksum, 1 FROM damaged_parcels ORDER BY 1"
    )
    return [
        f"{count} deliveries queued at {enqueued_at} (numbers {first} to {first + count - 1}), to"
        f" {', '.join(_readable_counts(installations))}"
        for first, count, enqueued_at, installations, deliveries, checksum, is_apart in rows
        if is_apart or not _fits(checksum, enqueued_at, installations, deliveries)
    ]


def damaged_packed_batches(connection: Connection) -> list[int]:
    """Return the first sequence numbers of packed batches that do not fit their checksums."""
    rows = connection.execute(
        "SELECT first_sequence, checksum, enqueued_at, CAST(installations AS BLOB), deliveries FROM parcels"
    )
    return [first for first, *rest in rows if not _fits(*rest)]


def forget_damaged_packed_batches(connection: Connection) -> int:
    """Delete the packed batches that are kept apart, and return how many deliveries they held."""
    counts = connection.execute("DELETE FROM damaged_parcels RETURNING delivery_count").fetchall()
    return sum(count for (count,) in counts)


def packed_batch_checksum(enqueued_at: str, installations: bytes, deliveries: bytes) -> int:
    """Return the checksum of a packed batch (CRC-32, as that of a delivery)."""
    return crc32(deliveries, crc32(installations, crc32(enqueued_at.encode())))


def _fits(checksum: int | None, enqueued_at: str, installations: bytes, deliveries: bytes) -> bool:
    """Return whether a packed batch is what was stored, as far as is known: those of before checksums have none."""
    return checksum is None or checksum == packed_batch_checksum(enqueued_at, installations, deliveries)


def _readable_counts(installations: bytes) -> list[str]:
    try:
        return [f"{installation_id} ({count})" for installation_id, count in _decode_counts(installations).items()]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ["unknown installations"]


def _unpack(deliveries: bytes) -> list[Packed] | None:
    text = _decompress(deliveries)
    return None if text is None else _decode_or_none(text)


def _decode_or_none(text: bytes) -> list[Packed] | None:
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _decompress(deliveries: bytes) -> bytes | None:
    """Return the text of a packed batch, None = it is damaged."""
    try:
        # What a damaged header says of the size is not to be allocated.
        if zstandard.frame_content_size(deliveries) > _MOST_TEXT_BYTES:
            return None
        return zstandard.ZstdDecompressor().decompress(deliveries, max_output_size=_MOST_TEXT_BYTES)
    except (zstandard.ZstdError, TypeError):
        return None
