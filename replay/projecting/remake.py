"""Projections on their way from an empty scratch to the end of the log."""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from itertools import islice

from eventstore.errors import DamagedLogError
from eventstore.events.catalogue import EVENT_CLASSES, stored_names
from eventstore.log.event_log import StoredEvent, last_position
from eventstore.projections.catalogue import PROJECTIONS, followed_types, project
from replay.projecting.buffer_fold import BufferFold
from replay.projecting.ledger import LedgerFold
from replay.projecting.scratch import Scratch, together
from replay.reading.log_range import LogRange, naming_damage, ranges_after, require_first, require_whole

__all__ = ["ALL_NAMES", "BUFFER", "LEDGER", "Advance", "Remake"]

BUFFER = "buffer"
# No projection of eventstore: which deliveries are kept stands in the queue, beside what nothing else holds.
LEDGER = "ledger"
ALL_NAMES = (*PROJECTIONS, LEDGER)

# Events that are decoded at a time.
_GROUP_EVENTS = 500

# Is told of how many more events were read.
Advance = Callable[[int], None]


class Remake:
    """Owns projections that are rebuilt in a scratch, and how far they have come.

    It reads each range of the log in a short transaction of its own, unless the caller has one.
    """

    def __init__(self, scratch: Scratch, names: Collection[str]) -> None:
        self.connection = scratch.connection
        self.position = 0
        self._followed = tuple(name for name in PROJECTIONS if name in names and name != BUFFER)
        self._is_whole = set(names) == set(ALL_NAMES)
        self._types = () if self._is_whole else tuple(sorted(followed_types(self._followed)))
        self._buffer = BufferFold(self.connection) if BUFFER in names else None
        self._ledger = LedgerFold(self.connection) if LEDGER in names else None

    def catch_up(self, advance: Advance) -> None:
        """Follow the log to its end as it is now.

        Raises DamagedLogError, which names it, at an event that is missing or cannot be read.
        """
        if self.position == 0:
            require_first(self.connection)
        for log_range in ranges_after(self.position, last_position(self.connection)):
            with together(self.connection), naming_damage(self.connection, log_range):
                self._follow(log_range)
            self.position = log_range.up_to_position
            advance(log_range.events)

    def finish(self) -> None:
        """Write everything that was read to the scratch's tables."""
        if self._buffer is not None:
            with together(self.connection):
                self._buffer.write()

    def _follow(self, log_range: LogRange) -> None:
        require_whole(self.connection, log_range)
        self._require_known_types(log_range)
        if self._followed:
            self._project_all(log_range.read(self.connection, self._types))
        if self._buffer is not None:
            self._buffer.follow(log_range)
        if self._ledger is not None:
            self._ledger.follow(log_range)

    def _project_all(self, events: Iterator[StoredEvent]) -> None:
        while group := tuple(islice(events, _GROUP_EVENTS)):
            position = 0

            def noted() -> Iterator[StoredEvent]:
                nonlocal position
                for stored in group:
                    position = stored.position
                    yield stored

            try:
                project(self.connection, noted(), self._followed)
            except (sqlite3.IntegrityError, TypeError, ValueError) as error:
                raise DamagedLogError(
                    f"event {position} does not go with those before it, or is not what was recorded ({error})"
                ) from error

    def _require_known_types(self, log_range: LogRange) -> None:
        """Raise DamagedLogError at an event of which nobody can say whether it concerns what is rebuilt."""
        if self._is_whole or self._buffer is not None:
            return  # each event is looked at anyway
        known = stored_names(EVENT_CLASSES)
        row = self.connection.execute(
            "SELECT position, type FROM events WHERE position > ? AND position <= ?"  # noqa: S608
            f" AND type NOT IN ({', '.join('?' * len(known))}) ORDER BY position LIMIT 1",
            (*log_range.bounds(), *known),
        ).fetchone()
        if row is not None:
            raise DamagedLogError(f"event {row[0]}: event type {row[1]!r} is not known to this version of hookfuse")
