"""`hookfuse logs delivery`: the story of one delivery, from the log, the events and the queue."""

import sqlite3
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import click

from console.logs.delivery_story import Story, StoryEntry, StorySources, tell_story
from console.logs.line_filter import LineFilter
from console.logs.line_output import print_account
from console.logs.log_entry import LogEntry
from console.logs.log_files import opened_log, total_bytes
from console.logs.log_options import file_argument, require_home_folder
from console.logs.log_reader import LogReader
from console.output.installation_text import breaker_text
from console.output.printable import printable
from console.output.progress import SlowProgress
from console.output.tables import print_facts, print_json, print_line, print_shown
from console.output.times import short_time
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.common.clock import parse_time
from eventstore.common.identifiers import installation_stream, made_at, parse_uuid
from eventstore.errors import NotFoundError
from eventstore.log.event_log import last_position
from eventstore.projections.registry import find_installation
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.queries import find_delivery, waits_behind
from eventstore.views.breaker import breaker_of, pause_of
from replay.trace.delivery_trail import Trail, find_stream, read_trail

__all__ = ["delivery"]

_SOURCE_WIDTH = 16
_INDENT = 43
# An attempt is a line: more than these are not a delivery's.
_MOST_LINES = 5000
# A line is written just after its event; a clock may have been set meanwhile.
_MARGIN = timedelta(hours=1)
_NO_TRAIL = Trail((), ())


@click.command()
@click.argument("delivery_id", metavar="ID")
@json_option
@file_argument
@click.pass_obj
def delivery(session: Session, /, *, delivery_id: str, files: tuple[Path, ...], is_json: bool) -> None:
    """Tell the story of the delivery ID: what happened to it, why it waited, and what came of it.

    The log's lines and the events are joined, and what only one of them knows is pointed out. FILE as for `hookfuse
    logs`.

    \b
    Example:
      hookfuse logs delivery 0197d3c0-1f2e-7a40-9d3c-5b1c2d3e4f50
    """  # noqa: D301 - \b is click's
    delivery_id = parse_uuid(delivery_id)
    if not files:
        require_home_folder(session)
    reading = session.reading_on() if session.home.database.is_file() else nullcontext()
    with reading as connection:
        sources, reader = gather_sources(connection, delivery_id, session.home.log, files)
        holds = _holds(connection, sources.queued, session.now()) if connection and sources.queued else []
    story = tell_story(sources)
    if is_json:
        print_json({**asdict(story), "due_at": _due_at(sources), "held_by": holds})
    else:
        _print(story, sources, holds)
    print_account(reader)


def _holds(connection: sqlite3.Connection, queued: QueuedDelivery, now: datetime) -> list[str]:
    """Return what holds a waiting delivery back now, beside the time at which it is due."""
    if queued.state != "waiting":
        return []
    installation = find_installation(connection, queued.installation_id)
    breaker, hold_until = breaker_of(installation, now), pause_of(installation, now)
    first = waits_behind(connection, queued)
    return [
        *([f"its installation is {installation.state}"] if not installation.is_active else []),
        *([f"the breaker is {breaker_text(breaker)}"] if breaker.is_down else []),
        *([f"the endpoint asked for a pause until {short_time(hold_until)}"] if hold_until else []),
        *([f"delivery {first}, which has the same ordering key and was queued before it"] if first else []),
    ]


def _due_at(sources: StorySources) -> str | None:
    return sources.queued.due_at if sources.queued and sources.queued.state == "waiting" else None


def _print(story: Story, sources: StorySources, holds: list[str]) -> None:
    due_at = _due_at(sources)
    print_facts(
        {
            "delivery": story.delivery_id,
            "installation": story.installation_id,
            "event": story.event,
            "state": story.state + (f", due at {short_time(due_at)}" if due_at else ""),
            "held by": "; ".join(holds),
        }
    )
    print_line()
    for entry in story.entries:
        _print_entry(entry)
    if story.notes:
        print_line()
    for note in story.notes:
        print_line(note)


def _print_entry(entry: StoryEntry) -> None:
    mark = " (this delivery is part of its evidence)" if entry.is_decision else ""
    print_line(f"{_time(entry.at)}  {_source(entry):<{_SOURCE_WIDTH}}  {entry.text}{mark}".rstrip())
    for text in entry.exception:
        print_shown(" " * _INDENT + printable(text))


def _time(at: str) -> str:
    return at[:23].replace("T", " ").ljust(23)


def _source(entry: StoryEntry) -> str:
    names = {"events": f"event {entry.position}" if entry.position else "events"}
    return ", ".join(names.get(source, source) for source in entry.sources)


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
