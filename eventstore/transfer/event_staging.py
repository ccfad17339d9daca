"""The lines of an export, each checked by itself, and laid out beside the log for the import."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import msgspec

from eventstore.common.json_lines import Faults
from eventstore.errors import DocumentError, UnknownEventError
from eventstore.events.catalogue import Event
from eventstore.events.codec import decode_event, encode_event
from eventstore.log.event_log import NO_HASH
from eventstore.transfer.event_check import event_fault, moment_fault
from eventstore.transfer.event_line import EventLine, read_event_line

__all__ = ["LINE_BYTES", "StagedEvent", "Staging", "StoredForm"]

# Far above any event: an attempt has some 6 KiB, an organization some dozens of bytes for each owner.
LINE_BYTES = 4 * 1024 * 1024

_BATCH = 500


@dataclass(frozen=True, slots=True)
class StoredForm:
    """An event as a log holds it; `position` is that of the log from which it comes."""

    position: int
    type: str
    schema: int
    recorded_at: str
    data: str

    def event(self) -> Event:
        """Decode it. Raises UnknownEventError."""
        return decode_event(self.type, self.schema, self.data)


@dataclass(frozen=True, slots=True)
class StagedEvent:
    """A line that is right by itself; `known`: what this log holds already in its stream under its version."""

    line: int
    stream: str
    version: int
    form: StoredForm
    known: StoredForm | None


class Staging:
    """Owns the temporary table `incoming`. SQLite keeps it in a private file, so that memory does not grow with it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.faults = Faults()
        self.line_count = 0
        self._batch: list[tuple[object, ...]] = []
        self._first: tuple[EventLine, str] | None = None
        self._previous: EventLine | None = None
        self._last_position = 0

    def __enter__(self) -> Self:
        self.connection.execute(
            "CREATE TEMP TABLE incoming (position INTEGER PRIMARY KEY, line INTEGER NOT NULL, stream TEXT NOT NULL,"
            " version INTEGER NOT NULL, type TEXT NOT NULL, schema INTEGER NOT NULL, recorded_at TEXT NOT NULL,"
            " data TEXT NOT NULL)"
        )
        return self

    def __exit__(
        self, _class: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.connection.execute("DROP TABLE temp.incoming")

    def fill(
        self, lines: Iterable[tuple[int, bytes | None]], *, now: datetime, on_line: Callable[[], None] = lambda: None
    ) -> None:
        """Read all lines; one with a fault is left out, and the fault noted."""
        for number, content in lines:
            self.line_count += 1
            try:
                self._stage(number, content, now)
            except (DocumentError, UnknownEventError) as error:
                self.faults.add(number, str(error))
                self._previous = None  # its hash is not to be relied on
            if len(self._batch) >= _BATCH:
                self._flush()
            on_line()
        self._flush()

    def is_continuation(self) -> bool:
        """Return whether the first event follows, by its hash, from what stands before its position in this log."""
        if self._first is None or self._first[0].hash is None:
            return False
        line, data = self._first
        row = self.connection.execute("SELECT hash FROM events WHERE position = ?", (line.position - 1,)).fetchone()
        return row is not None and line.hash_behind(row[0], data).hex() == line.hash

    @property
    def first_position(self) -> int:
        """Position of the first event, 0 when there is none."""
        return self._first[0].position if self._first else 0

    def find(self, position: int) -> tuple[str, int] | None:
        """Return stream and version of the event that has a position in the log from which it comes."""
        row: tuple[str, int] | None = self.connection.execute(
            "SELECT stream, version FROM incoming WHERE position = ?", (position,)
        ).fetchone()
        return row

    def events(self) -> Iterator[StagedEvent]:
        """Return the events one by one."""
        rows = self.connection.execute(
            "SELECT line, incoming.stream, incoming.version,"
            " incoming.position, incoming.type, incoming.schema, incoming.recorded_at, incoming.data,"
            " known.position, known.type, known.schema, known.recorded_at, known.data FROM incoming"
            " LEFT JOIN main.events AS known ON known.stream = incoming.stream AND known.version = incoming.version"
            " ORDER BY incoming.position"
        )
        for row in rows:
            known = None if row[8] is None else StoredForm(*row[8:])
            yield StagedEvent(row[0], row[1], row[2], StoredForm(*row[3:8]), known)

    def _stage(self, number: int, content: bytes | None, now: datetime) -> None:
        if content is None:
            raise DocumentError(f"over {LINE_BYTES} bytes, which is too long for an event")
        line = read_event_line(content)
        if line.position <= self._last_position:
            raise DocumentError(f"position {line.position} does not come after {self._last_position}, as it must")
        if fault := moment_fault(line.recorded_at, now):
            raise DocumentError(fault)
        data, event = self._data(line)
        if fault := event_fault(line.stream, event, line.recorded_at):
            raise DocumentError(fault)
        self._batch.append(
            (line.position, number, line.stream, line.version, line.type, line.schema, line.recorded_at, data)
        )
        self._first = self._first or (line, data)
        self._previous, self._last_position = line, line.position

    def _data(self, line: EventLine) -> tuple[str, Event]:
        """Return the data as the other log has it, whatever white space has come in, and the event itself."""
        try:
            data = msgspec.json.format(bytes(line.data), indent=-1).decode()
        except RecursionError as error:
            raise DocumentError("data is nested too deeply") from error
        event = decode_event(line.type, line.schema, data)
        previous_hash = self._hash_before(line)
        if line.hash is None or previous_hash is None or line.hash_behind(previous_hash, data).hex() == line.hash:
            return data, event
        # A program that has read and written the line may spell numbers and texts otherwise.
        spelled_anew = encode_event(event)
        if line.hash_behind(previous_hash, spelled_anew).hex() == line.hash:
            return spelled_anew, event
        raise DocumentError("its hash does not follow from the line before it: it was changed since it was exported")

    def _hash_before(self, line: EventLine) -> bytes | None:
        if line.position == 1:
            return NO_HASH
        previous = self._previous
        if previous is None or previous.hash is None or previous.position != line.position - 1:
            return None
        return bytes.fromhex(previous.hash)

    def _flush(self) -> None:
        self.connection.executemany("INSERT INTO incoming VALUES (?, ?, ?, ?, ?, ?, ?, ?)", self._batch)
        self._batch.clear()
