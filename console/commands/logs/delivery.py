"""`hookfuse logs delivery`: the story of one delivery, from the log, the events and the queue."""

import sqlite3
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from console.logs.delivery_story import Chapter, Story, StorySources, tell_story
from console.logs.line_output import print_account
from console.logs.log_options import file_argument, require_home_folder
from console.logs.story_sources import gather_sources
from console.output.installation_text import breaker_text
from console.output.printable import printable
from console.output.tables import print_facts, print_json, print_line, print_shown
from console.output.times import short_time
from console.shell.options import json_option
from console.shell.session import Session
from eventstore.common.identifiers import parse_uuid
from eventstore.projections.registry import find_installation
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.queries import waits_behind
from eventstore.views.breaker import breaker_of, hold_of

__all__ = ["delivery"]


@click.command()
@click.argument("delivery_id", metavar="ID")
@json_option
@file_argument
@click.pass_obj
def delivery(session: Session, /, *, delivery_id: str, files: tuple[Path, ...], is_json: bool) -> None:
    """Tell the story of the delivery ID: what happened to it, why it waited, and what came of it.

    The log's lines and the events are joined, and what only one of them knows is said. FILE as for `hookfuse logs`.

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
        print_json({**asdict(story), "due_at": _due_at(sources), "held_back_by": holds})
    else:
        _print(story, sources, holds)
    print_account(reader)


def _holds(connection: sqlite3.Connection, queued: QueuedDelivery, now: datetime) -> list[str]:
    """Say what holds a waiting delivery back now, beside the time at which it is due."""
    if queued.state != "waiting":
        return []
    installation = find_installation(connection, queued.installation_id)
    breaker, hold_until = breaker_of(installation, now), hold_of(installation, now)
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
            "event": story.event_name,
            "state": story.state + (f", due at {short_time(due_at)}" if due_at else ""),
            "held back by": "; ".join(holds),
        }
    )
    print_line()
    for chapter in story.chapters:
        _print_chapter(chapter)
    if story.notes:
        print_line()
    for note in story.notes:
        print_line(note)


def _print_chapter(chapter: Chapter) -> None:
    mark = " (this delivery is part of its evidence)" if chapter.is_decision else ""
    print_line(f"{_time(chapter.at)}  {_source(chapter):<{_SOURCE_WIDTH}}  {chapter.text}{mark}".rstrip())
    for text in chapter.below:
        print_shown(" " * _INDENT + printable(text))


_SOURCE_WIDTH = 16
_INDENT = 43


def _time(at: str) -> str:
    return at[:23].replace("T", " ").ljust(23)


def _source(chapter: Chapter) -> str:
    names = {"events": f"event {chapter.position}" if chapter.position else "events"}
    return ", ".join(names.get(source, source) for source in chapter.sources)
