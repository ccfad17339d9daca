"""`--as-of`: an installation as it was, seen through the same readers as one of now."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import click

from console.output.progress import SlowProgress
from console.output.times import moment as time_of
from console.shell.lookup import resolve_installation
from console.shell.session import Session
from eventstore.common.clock import time_text
from eventstore.errors import RejectedError
from replay.as_of.view import AsOfView, open_past
from replay.reading.moment import Moment, moment_at, moment_of

__all__ = ["PointInTimeView", "as_of_option", "moment_row", "move_slowly", "read_moment", "seeing"]

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class PointInTimeView:
    """What a command looks at: the installation on a connection, evaluated as of `now`; `moment` None = the present."""

    connection: sqlite3.Connection
    installation_id: str
    now: datetime
    moment: Moment | None = None


def as_of_option(command: Command) -> Command:
    """Return an option --as-of."""
    return click.option(
        "--as-of",
        "as_of",
        metavar="TIME|POSITION",
        help="As it was then: a time, how long ago (2h, 3d), or the position of an event.",
    )(command)


@contextmanager
def seeing(session: Session, installation: str, as_of: str | None) -> Iterator[PointInTimeView]:
    """Look at an installation now or, with `as_of`, as it was then.

    Raises NotFoundError, also when it was not there yet; RejectedError when `as_of` is not a moment of the past.
    """
    with session.reading() as connection:
        installation_id = resolve_installation(connection, installation)
        if as_of is None:
            yield PointInTimeView(connection, installation_id, session.now())
            return
        moment = read_moment(connection, as_of, session.now())
    with open_past(session.home.database, installation_id) as past:
        move_slowly(past, moment)
        yield PointInTimeView(past.connection, installation_id, moment.at, moment)


def read_moment(connection: sqlite3.Connection, text: str, now: datetime) -> Moment:
    """Read what a person gives as a moment: digits alone are the position of an event.

    Raises RejectedError.
    """
    if text.strip().isdecimal():
        return moment_of(connection, int(text))
    try:
        at = time_of(text, now)
    except RejectedError as error:
        raise RejectedError(f"{error}, and no position of an event") from error
    assert at is not None  # noqa: S101 - only of no text there is no time
    return moment_at(connection, at, now)


def move_slowly(past: AsOfView, moment: Moment) -> None:
    """Move a past forward, with a progress bar when there is much to follow."""
    with SlowProgress("following its events", past.count_events(moment)) as progress:
        past.move_to(moment, progress.advance)


def moment_row(moment: Moment | None) -> dict[str, object] | None:
    """Return a moment as `--json` has it, None for the present."""
    return {"at": time_text(moment.at), "position": moment.position} if moment else None
