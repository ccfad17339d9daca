"""The options that say which lines of which files are wanted; all commands below `logs` share them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from console.logs.line_filter import LEVELS, LineFilter
from console.shell.filters import period
from console.shell.session import Session
from eventstore.common.clock import time_text
from eventstore.common.identifiers import parse_uuid, parse_uuid_beginning
from eventstore.errors import RejectedError

__all__ = ["LogQuery", "file_argument", "filter_options", "log_query", "require_home_folder"]

Command = TypeVar("Command", bound=Callable[..., Any])

_OUTCOMES = ("succeeded", "failed", "timed_out", "blocked", "missed")

_OPTIONS = (
    click.option(
        "--installation",
        metavar="ID",
        help="Only of this installation (its UUID, or at least its first 6 characters).",
    ),
    click.option("--delivery", metavar="ID", help="Only of this delivery, in the same forms."),
    click.option(
        "--event",
        metavar="NAME",
        help="Only of this event: the log's, such as delivery_attempted, or the delivery's, such as issue.created.",
    ),
    click.option(
        "--level", type=click.Choice(LEVELS), metavar="LEVEL", help="Only of this level, or a more severe one."
    ),
    click.option(
        "--outcome", type=click.Choice(_OUTCOMES), metavar="OUTCOME", help=f"Only with this: {', '.join(_OUTCOMES)}."
    ),
    click.option("--since", metavar="TIME", help="Not before: 2025-02-01T10:00 (UTC), or 2h or 3d ago."),
    click.option("--until", metavar="TIME", help="Not after, in the same forms."),
)

file_argument = click.argument(
    "files", nargs=-1, metavar="[FILE]...", type=click.Path(path_type=Path, allow_dash=True, readable=False)
)


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines are wanted; the moments say also which files need not be read."""

    wanted: LineFilter
    since: datetime | None
    until: datetime | None


def filter_options(command: Command) -> Command:
    """Return a command the options of the filter."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def log_query(session: Session, options: dict[str, str | None]) -> LogQuery:
    """Read the options of the filter. Raises RejectedError."""
    now = session.now()
    since, until = period(options["since"], options["until"], now)
    wanted = LineFilter(
        installation=_id_or_beginning(options["installation"]),
        delivery=_id_or_beginning(options["delivery"]),
        event=_event(options["event"]),
        level=options["level"] or "",
        outcome=options["outcome"] or "",
        since=time_text(since) if since else "",
        until=time_text(until) if until else "",
    )
    return LogQuery(wanted, since, until)


def require_home_folder(session: Session) -> None:
    """Raise HomeError where there is no folder; one in which nothing has been logged yet is a home as well."""
    if not session.home.path.is_dir():
        session.require_home()


def _id_or_beginning(text: str | None) -> str:
    if text is None:
        return ""
    try:
        return parse_uuid(text)
    except RejectedError:
        return parse_uuid_beginning(text)


def _event(text: str | None) -> str:
    if text is not None and not text.strip():
        raise RejectedError("--event does not name an event: one of the log's, or a delivery's, such as issue.created")
    return text or ""
