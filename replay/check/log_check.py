"""The log itself, checked event by event: positions, versions, the chain of hashes, and whether each can be read."""

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from eventstore.errors import UnknownEventError
from eventstore.events.codec import decode_event
from eventstore.log.event_log import NO_HASH, chain_hash, last_position
from eventstore.sqlite.database import explained, open_database
from replay.projecting.remake import Advance

__all__ = ["Anchor", "Fault", "LogCheck", "check_log"]

_BATCH_EVENTS = 2_000
# Texts as the bytes that they are stored as: what is not text is to be named, and not to end the reading.
_ROWS = (
    "SELECT position, CAST(stream AS BLOB), version, CAST(type AS BLOB), schema, CAST(recorded_at AS BLOB),"
    " CAST(data AS BLOB), CAST(hash AS BLOB) FROM events WHERE position > ? AND position <= ?"
    " ORDER BY position LIMIT ?"
)
_Row = tuple[int, bytes, int, bytes, int, bytes, bytes, bytes]
_BEFORE_ALL = -(2**63)


class _Texts(NamedTuple):
    stream: str
    type_name: str
    recorded_at: str
    data: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the log at a position."""

    position: int
    text: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """What an earlier check said of the log's last event."""

    position: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class LogCheck:
    """What a check found. `faults` are the first ones, `count` how many there are; the last event is to be kept."""

    events: int
    last: Anchor
    faults: tuple[Fault, ...]
    count: int


def check_log(
    database: Path, *, limit: int = 100, anchor: Anchor | None = None, advance: Advance = lambda _count: None
) -> LogCheck:
    """Check every event, and go on behind a fault with what is stored there; at most `limit` faults are kept.

    Memory grows with the streams, not with the events. Raises DatabaseError.
    """
    with closing(open_database(database, is_writer=False)) as connection, explained(database):
        last = last_position(connection)
        follower = _Follower(limit, anchor)
        position = _BEFORE_ALL
        # Each batch is a short read transaction: SQLite can put the WAL back into the file between two of them.
        while rows := connection.execute(_ROWS, (position, last, _BATCH_EVENTS)).fetchall():
            for row in rows:
                follower.follow(row)
            position = rows[-1][0]
            advance(len(rows))
        return follower.finish()


@dataclass(slots=True)
class _Follower:
    """Walks along the log, event by event."""

    limit: int
    anchor: Anchor | None
    events: int = 0
    count: int = 0
    _faults: list[Fault] = field(default_factory=list)
    _position: int = 0
    _hash: bytes = NO_HASH
    # The hashes from which the next event may follow: that which is stored, and where that is not what it should be,
    # the one that should be there. None = the event before is missing, and nothing can be said.
    _before: tuple[bytes, ...] = (NO_HASH,)
    _versions: dict[bytes, int] = field(default_factory=dict)

    def follow(self, row: _Row) -> None:
        """Check one event against those before it."""
        position, stream, version, type_name, schema, recorded_at, data, stored_hash = row
        self.events += 1
        if position != self._position + 1:
            self._name_gap(position)
        before = self._versions.get(stream, 0)
        if version != before + 1:
            name = stream.decode(errors="backslashreplace")
            self._add(position, f"is version {version} of stream {name} and comes after version {before}")
        self._versions[stream] = version
        try:
            texts = _Texts(stream.decode(), type_name.decode(), recorded_at.decode(), data.decode())
        except UnicodeDecodeError:
            self._add(position, "holds bytes that are not UTF-8 text")
            self._before = (stored_hash,)
        else:
            self._follow_chain(row, texts)
            try:
                decode_event(texts.type_name, schema, texts.data)
            except UnknownEventError as error:
                self._add(position, f"cannot be read: {error}")
        if self.anchor is not None and self.anchor.position == position and self.anchor.hash != stored_hash:
            self._add(position, f"has the hash {stored_hash.hex()}, and {self.anchor.hash.hex()} was known")
        self._position, self._hash = position, stored_hash

    def finish(self) -> LogCheck:
        """Return what was found."""
        if self.anchor is not None and self.anchor.position > self._position:
            self._add(self.anchor.position, f"was known, and the log ends at event {self._position}")
        return LogCheck(self.events, Anchor(self._position, self._hash), tuple(self._faults), self.count)

    def _add(self, position: int, text: str) -> None:
        self.count += 1
        if len(self._faults) < self.limit:
            self._faults.append(Fault(position, text))

    def _name_gap(self, position: int) -> None:
        expected = self._position + 1
        if position < expected:
            self._add(position, "stands before the first event, which has position 1")
        else:
            others = f", and so is all up to event {position - 1}" if position > expected + 1 else ""
            self._add(expected, f"is missing{others}")
        self._before = ()

    def _follow_chain(self, row: _Row, texts: _Texts) -> None:
        stored_hash = row[-1]
        found = [_hash_behind(before, row, texts) for before in self._before]
        if found and stored_hash not in found:
            self._add(row[0], f"does not follow from event {row[0] - 1}: one of the two was changed")
            self._before = (stored_hash, *found)
        else:
            self._before = (stored_hash,)


def _hash_behind(before: bytes, row: _Row, texts: _Texts) -> bytes:
    return chain_hash(
        before,
        position=row[0],
        stream=texts.stream,
        version=row[2],
        type_name=texts.type_name,
        schema=row[4],
        recorded_at=texts.recorded_at,
        data=texts.data,
    )
