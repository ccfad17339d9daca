"""The chain of hashes, followed a piece at a time: where the log is not what was recorded."""

from dataclasses import dataclass

from eventstore.common.connection import Connection
from eventstore.log.event_log import NO_HASH, chain_hash

__all__ = ["BEFORE_ALL", "Followed", "follow_chain"]

BEFORE_ALL = -(2**63)
_MOST_NEGATIVE = "event {} stands before the first one, which has position 1"


@dataclass(frozen=True, slots=True)
class Followed:
    """How far a piece of the log goes, and what is wrong in it ("" = nothing)."""

    count: int
    position: int
    hash: bytes | None
    fault: str = ""


def follow_chain(connection: Connection, after_position: int, previous: bytes | None, *, limit: int) -> Followed:
    """Check that the events after one follow from it and each other, and that the index of streams has them.

    `previous`: the hash of the one before, None = the log's beginning, or not known.
    """
    # Texts as the bytes that they are stored as: what is not text is a fault, and not to end the reading.
    rows = connection.execute(
        "SELECT position, CAST(stream AS BLOB), version, CAST(type AS BLOB), schema, CAST(recorded_at AS BLOB),"
        " CAST(data AS BLOB), CAST(hash AS BLOB),"
        " EXISTS (SELECT 1 FROM events AS other INDEXED BY sqlite_autoindex_events_1 WHERE other.stream = events.stream"
        "  AND other.version = events.version AND other.position = events.position)"
        " FROM events NOT INDEXED WHERE position > ? ORDER BY position LIMIT ?",
        (after_position, limit),
    ).fetchall()
    position = after_position
    if after_position == BEFORE_ALL:
        position, previous = 0, NO_HASH
    for number, row in enumerate(rows):
        found = row[0]
        if found != position + 1:
            text = f"event {position + 1} is missing" if found > position else _MOST_NEGATIVE.format(found)
            return Followed(number, found, None, text)
        fault = _fault(row, previous)
        if fault:
            return Followed(number, found, row[7], f"event {found} {fault}")
        position, previous = found, row[7]
    return Followed(len(rows), position, previous)


def _fault(row: tuple[int, bytes, int, bytes, int, bytes, bytes, bytes, int], previous: bytes | None) -> str:
    position, stream, version, type_name, schema, recorded_at, data, stored_hash, is_indexed = row
    if not is_indexed:
        return "is not in the index of its stream"
    if previous is None:
        return ""
    try:
        expected = chain_hash(
            previous,
            position=position,
            stream=stream.decode(),
            version=version,
            type_name=type_name.decode(),
            schema=schema,
            recorded_at=recorded_at.decode(),
            data=data.decode(),
        )
    except (UnicodeDecodeError, AttributeError):
        return "holds bytes that are not text"
    return "" if expected == stored_hash else "is not what was recorded"
