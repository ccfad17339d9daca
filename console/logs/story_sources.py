"""Gathering what is known about a delivery: from the queue, the events and the log."""

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path

from console.logs.delivery_story import StorySources
from console.logs.line_filter import LineFilter
from console.logs.log_entry import LogEntry
from console.logs.log_files import opened_log, total_bytes
from console.logs.log_reader import LogReader
from console.output.progress import SlowProgress
from eventstore.common.clock import parse_time
from eventstore.common.identifiers import installation_stream, made_at
from eventstore.errors import NotFoundError
from eventstore.log.event_log import last_position
from eventstore.queue.queries import find_delivery
from replay.trace.delivery_trail import Trail, find_stream, read_trail

__all__ = ["gather_sources"]

# An attempt is a line: more than these are not a delivery's.
_MOST_LINES = 5000

# A line is written just after its event; a clock may have been set meanwhile.
_MARGIN = timedelta(hours=1)

_NO_TRAIL = Trail((), ())


def gather_sources(
    connection: sqlite3.Connection | None, delivery_id: str, log: Path, files: Sequence[Path]
) -> tuple[StorySources, LogReader]:
    """Find what is known about a delivery, and return the reader's account too; no connection = the log only.

    Raises NotFoundError when nothing is known, and what reading the events and the log raises.
    """
    gathering = _Gathering(connection, delivery_id, log, files)
    return gathering.sources(), gathering.reader


class _Gathering:
    """One look into all sources, each narrowed by what the ones before it said."""

    def __init__(
        self, connection: sqlite3.Connection | None, delivery_id: str, log: Path, files: Sequence[Path]
    ) -> None:
        self.reader = LogReader()
        self._connection = connection
        self._delivery_id = delivery_id
        self._log = log
        self._files = files

    def sources(self) -> StorySources:
        stream = self._stream(is_thorough=False)
        trail = self._trail(stream)
        lines = self._lines(trail)
        if stream is None and lines:
            stream = installation_stream(lines[0][1].installation_id or "")
            trail = self._trail(stream)
        queued = find_delivery(self._connection, self._delivery_id) if self._connection else None
        if queued is None and not trail.events:
            stream = self._stream(is_thorough=True)
            trail = self._trail(stream)
        if queued is None and not trail.events and not lines:
            raise NotFoundError(f"delivery {self._delivery_id} is not known: not in the queue, the events or the log")
        return StorySources(
            delivery_id=self._delivery_id,
            queued=queued,
            stream=stream or "",
            trail=trail,
            lines=lines[:_MOST_LINES],
            log_begins_at=self._log_begins_at(),
            is_log_whole=len(lines) <= _MOST_LINES,
        )

    def _stream(self, *, is_thorough: bool) -> str | None:
        if self._connection is None:
            return None
        with SlowProgress("looking through the events", last_position(self._connection)) as progress:
            return find_stream(self._connection, self._delivery_id, is_thorough=is_thorough, advance=progress.advance)

    def _trail(self, stream: str | None) -> Trail:
        if self._connection is None or stream is None:
            return _NO_TRAIL
        with SlowProgress("reading the installation's events", None) as progress:
            return read_trail(self._connection, self._delivery_id, stream, progress.advance)

    def _lines(self, trail: Trail) -> tuple[tuple[bytes, LogEntry], ...]:
        made = made_at(self._delivery_id)
        since = made - _MARGIN if made else None
        until = parse_time(trail.events[-1].recorded_at) + _MARGIN if trail.is_over else None
        with (
            opened_log(self._log, self._files, since=since, until=until) as streams,
            SlowProgress("reading the log", total_bytes(streams)) as progress,
        ):
            self.reader = LogReader(LineFilter(delivery=self._delivery_id), progress.advance)
            found = ((raw, entry) for raw, entry in self.reader.read(streams) if entry is not None)
            return tuple(islice(found, _MOST_LINES + 1))

    def _log_begins_at(self) -> str:
        with opened_log(self._log, self._files) as streams:
            found = LogReader().read(streams)
            begins_at = next((entry.timestamp for _, entry in found if entry is not None and entry.timestamp), "")
            found.close()
        return begins_at
