"""What `replay rebuild` and `replay verify` share: which projections are meant, and how far they are."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from console.shell.session import Session
from eventstore.log.event_log import last_position
from replay.projecting.remake import ALL_NAMES

__all__ = ["count_events", "payload_facts", "projection_option", "wanted_names"]

Command = TypeVar("Command", bound=Callable[..., Any])


def projection_option(command: Command) -> Command:
    """Return an option --projection."""
    return click.option(
        "--projection",
        "names",
        multiple=True,
        type=click.Choice(sorted(ALL_NAMES)),
        metavar="NAME",
        help=f"Only this projection ({', '.join(sorted(ALL_NAMES))}); may be repeated.",
    )(command)


def wanted_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the projections that are meant: all where none was named."""
    return tuple(name for name in ALL_NAMES if name in names) or ALL_NAMES


def count_events(session: Session) -> int:
    """Return how many events there are to be read, for a progress bar. Raises HomeError, DatabaseError."""
    with session.reading() as connection:
        return last_position(connection)


def payload_facts(waiting: int | None, without_payload: int | None) -> dict[str, object]:
    """Return what of the queue is neither compared nor repaired."""
    return {
        "waiting": f"{waiting} (the queue's own: not compared)" if waiting else None,
        "payload lost": f"{without_payload} (kept deliveries that can only be dropped)" if without_payload else None,
    }
