"""Where time comes from, and how it is written down."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

__all__ = ["Clock", "ManualClock", "SystemClock", "day_of", "parse_time", "stored_bound", "time_text"]

_encode = msgspec.json.Encoder().encode


class Clock(Protocol):
    """A source of UTC wall-clock time."""

    def now(self) -> datetime:
        """Return the present moment as an aware UTC datetime."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return datetime.fromtimestamp(time.time(), UTC)


@dataclass(slots=True)
class ManualClock:
    """A clock that stands still until a test moves it."""

    moment: datetime

    def now(self) -> datetime:
        """Return the moment that was set."""
        return self.moment

    def advance(self, *, days: float = 0, seconds: float = 0) -> None:
        """Move forward."""
        self.moment += timedelta(days=days, seconds=seconds)


def time_text(moment: datetime) -> str:
    """Write a moment as fixed-width UTC text, so that texts sort as the moments do."""
    # A tenth of what datetime's own isoformat() takes; but whole seconds come without a fraction.
    text = _encode(moment.astimezone(UTC)).decode()[1:-1]
    return text if moment.microsecond else f"{text[:-1]}.000000Z"


def stored_bound(moment: datetime | None) -> str | None:
    """Return a moment as it is compared with stored ones, None = no bound."""
    return None if moment is None else time_text(moment)


def parse_time(text: str) -> datetime:
    """Read a moment from ISO 8601 text; without an offset it is UTC.

    Raises ValueError when the text is not a date or time.
    """
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def day_of(recorded_at: str) -> str:
    """Return the UTC day, YYYY-MM-DD, of a moment written by time_text."""
    return recorded_at[:10]
