"""How many attempts failed by hour and error class: over all installations, so that whoever asks adds up a few rows."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from eventstore.common.clock import time_text
from eventstore.common.connection import Connection
from eventstore.events.catalogue import AttemptEvent
from eventstore.log.event_log import Handlers, StoredEvent
from eventstore.sqlite.bulk import insert_rows

__all__ = ["HANDLERS", "read_failures"]

_HOUR_CHARACTERS = len("2025-02-03T10")
_INTO = "INSERT INTO failures (hour, error_class, count)"
_ADDED = "ON CONFLICT (hour, error_class) DO UPDATE SET count = failures.count + excluded.count"


def read_failures(connection: Connection, *, since: datetime, until: datetime) -> dict[str, int]:
    """Count failed attempts by error class, the most frequent first: of the hour of `until`, and those after `since`'s.

    So a day is that of 24 hours of the clock, of which the last one is not over yet.
    """
    rows = connection.execute(
        "SELECT error_class, sum(count) FROM failures WHERE hour > ? AND hour <= ?"
        " GROUP BY error_class ORDER BY sum(count) DESC, error_class",
        (_hour(time_text(since)), _hour(time_text(until))),
    )
    return dict(rows.fetchall())


def _count(connection: Connection, group: Sequence[StoredEvent]) -> None:
    """Count the failed ones of a group of attempts."""
    counts = Counter(
        (_hour(stored.recorded_at), stored.event.error_class)
        for stored in group
        if isinstance(stored.event, AttemptEvent) and stored.event.error_class
    )
    insert_rows(connection, _INTO, [(*key, count) for key, count in counts.items()], _ADDED)


def _hour(moment: str) -> str:
    return moment[:_HOUR_CHARACTERS]


HANDLERS: Handlers = dict.fromkeys(AttemptEvent.__subclasses__(), _count)
