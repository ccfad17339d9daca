"""History on its way out: events as lines."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from eventstore.common.clock import stored_bound
from eventstore.errors import DamagedLogError
from eventstore.events.catalogue import stored_names
from eventstore.log.event_log import NO_HASH, last_position
from eventstore.sqlite.paging import read_paged
from eventstore.transfer.event_line import EventLine, write_event_line

__all__ = ["ExportFilter", "ExportedLine", "export_lines"]


@dataclass(frozen=True, slots=True)
class ExportFilter:
    """Which events are wanted: `since` is the first moment, `until` the first one after; None = all."""

    after_position: int = 0
    stream: str | None = None
    type_names: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    @property
    def is_whole(self) -> bool:
        """Return whether nothing behind `after_position` is left out."""
        return self.stream is None and not self.type_names and self.since is None and self.until is None


@dataclass(frozen=True, slots=True)
class ExportedLine:
    """One line, and the position of its event."""

    position: int
    line: bytes


def export_lines(connection: sqlite3.Connection, wanted: ExportFilter) -> Iterator[ExportedLine]:
    """Return the events one by one as they are stored, all of the moment of the first.

    They are read in pages, and no transaction is open between two: whoever takes them may take his time.

    None is decoded, so that what only a newer hookfuse can read goes out too. Raises DamagedLogError at one that
    does not follow from the event before it: a damaged log must leave no file that looks whole.
    """
    position = wanted.after_position
    digest: bytes | None = _hash_at(connection, position)
    for line, stored_digest in _read(connection, wanted):
        is_next = line.position == position + 1
        if wanted.is_whole and not is_next:
            raise _damage(line.position, f"event {position + 1} is not there")
        if is_next and digest is not None and line.hash_behind(digest, bytes(line.data).decode()) != stored_digest:
            raise _damage(line.position, "its hash does not follow from the event before it")
        yield ExportedLine(line.position, write_event_line(line))
        position, digest = line.position, stored_digest


def _read(connection: sqlite3.Connection, wanted: ExportFilter) -> Iterator[tuple[EventLine, bytes]]:
    conditions: dict[str, Sequence[object]] = {}
    if wanted.type_names:
        names = stored_names(wanted.type_names)
        conditions[f"type IN ({', '.join('?' * len(names))})"] = names
    for condition, argument in (
        ("stream = ?", wanted.stream),
        ("recorded_at >= ?", stored_bound(wanted.since)),
        ("recorded_at < ?", stored_bound(wanted.until)),
    ):
        if argument is not None:
            conditions[condition] = [argument]
    rows = read_paged(
        connection,
        "position, stream, version, type, schema, recorded_at, data, CAST(hash AS BLOB)",
        conditions,
        after_position=wanted.after_position,
        up_to_position=last_position(connection),  # as of this moment: what is recorded is never changed
        is_of_one_stream=wanted.stream is not None,
    )
    for position, stream, version, type_name, schema, recorded_at, data, digest in rows:
        raw = msgspec.Raw(data.encode())
        yield EventLine(position, stream, version, type_name, schema, recorded_at, raw, digest.hex()), digest


def _hash_at(connection: sqlite3.Connection, position: int) -> bytes | None:
    if position == 0:
        return NO_HASH
    row = connection.execute("SELECT hash FROM events WHERE position = ?", (position,)).fetchone()
    return None if row is None else bytes(row[0])


def _damage(position: int, fault: str) -> DamagedLogError:
    return DamagedLogError(f"the log is damaged at position {position}: {fault}")
