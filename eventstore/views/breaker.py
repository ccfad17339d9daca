"""How an installation's breaker and the pause that its endpoint asked for stand at a moment."""

from datetime import datetime
from typing import Literal

from msgspec import Struct

from eventstore.common.clock import parse_time
from eventstore.common.connection import Connection
from eventstore.common.identifiers import installation_stream
from eventstore.events.catalogue import BreakerOpened
from eventstore.log.event_log import read_events
from eventstore.policies.waits import LONGEST_PAUSE_S, is_held
from eventstore.projections.registry import Installation

__all__ = ["Breaker", "Opening", "breaker_of", "pause_of", "read_opening"]


class Breaker(Struct, frozen=True):
    """The circuit breaker. Half open, one delivery at a time is let through; recovering, its limits are stricter.

    Its two moments are those that were recorded.
    """

    state: Literal["closed", "open", "half_open", "recovering"]
    open_until: str | None
    strict_until: str | None

    @property
    def is_down(self) -> bool:
        """Return whether it holds deliveries back."""
        return self.state in ("open", "half_open")


class Opening(Struct, frozen=True):
    """Why a breaker has opened, and the event's position."""

    position: int
    explanation: str


def breaker_of(installation: Installation, now: datetime) -> Breaker:
    """Return how the breaker stands at a moment."""
    open_until, strict_until = installation.breaker_open_until, installation.breaker_strict_until
    if open_until is not None:
        return Breaker("open" if _is_held(open_until, now) else "half_open", open_until, strict_until)
    return Breaker("recovering" if _is_held(strict_until, now) else "closed", open_until, strict_until)


def pause_of(installation: Installation, now: datetime) -> str | None:
    """Return until when the endpoint asked for a pause (429, 503), None = there is none now."""
    return installation.hold_until if _is_held(installation.hold_until, now) else None


def read_opening(connection: Connection, installation_id: str) -> Opening | None:
    """Return the breaker's last opening that was not a dry run, None = there is none."""
    opened = read_events(
        connection,
        stream=installation_stream(installation_id),
        type_names=(BreakerOpened.type_name,),
        is_newest_first=True,
    )
    for stored in opened:
        if isinstance(stored.event, BreakerOpened) and not stored.event.is_dry_run:
            return Opening(stored.position, stored.event.explanation)
    return None


def _is_held(until: str | None, now: datetime) -> bool:
    return until is not None and is_held(parse_time(until), now, LONGEST_PAUSE_S)
