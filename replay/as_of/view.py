"""An installation as it was: a scratch that holds what follows from the events up to a moment, and no later one."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eventstore.common.identifiers import MAIL_STREAM
from eventstore.errors import RejectedError
from eventstore.events.catalogue import (
    ATTEMPT_TYPES,
    DeliverySucceeded,
    DisablingFrozen,
    DisablingThawed,
    InstallationCountsImported,
    InstallationCreated,
    InstallationEnabled,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.events.codec import decode_event
from eventstore.log.event_log import StoredEvent
from eventstore.projections.catalogue import project
from eventstore.sqlite.database import explained
from replay.projecting.attempt_tally import AttemptTally, read_attempt
from replay.projecting.ledger import HANDLERS as LEDGER_HANDLERS
from replay.projecting.ledger import has_waiting, make_ledger
from replay.projecting.scratch import Scratch, open_scratch
from replay.reading.history import EventRow, History, Versions, with_position
from replay.reading.log_range import LogRange, naming_damage
from replay.reading.moment import Moment, moment_text

__all__ = ["AsOfView", "open_past"]

_PROBES = (ProbeSucceeded.type_name, ProbeFailed.type_name)


@contextmanager
def open_past(database: Path, installation_id: str) -> Iterator["AsOfView"]:
    """Open the past of an installation; all that is read of it is of one state of the log. Raises DatabaseError."""
    with open_scratch(database) as scratch, explained(database):
        scratch.connection.execute("BEGIN")  # one snapshot of the live tables, and one transaction for the scratch
        yield AsOfView(scratch, installation_id)


class AsOfView:
    """One installation, moved forward from moment to moment.

    On its connection the readers of eventstore see the installation, its app, its organization and the fleet as
    they were: `events` ends at the moment, and `queue` holds what was kept. The requests are those of its own
    stream: here the others of its app push none of them out.
    """

    def __init__(self, scratch: Scratch, installation_id: str) -> None:
        self.connection = scratch.connection
        self._installation_id = installation_id
        self._history = History(self.connection, installation_id, "live")
        self._followed: Versions = {}
        self._tally = AttemptTally()
        self._has_waiting = False
        self._is_frozen = False
        _hide_what_is_later(self.connection)

    def count_events(self, moment: Moment) -> int:
        """Return how many events of the installation are to be followed up to a moment."""
        return self._history.count_events(moment) - self._followed.get(self._history.stream, 0)

    def move_to(self, moment: Moment, note: Callable[[int], None] = lambda _count: None) -> None:
        """Bring all to a moment, telling `note` now and then how many more events have been followed.

        Raises NotFoundError when the installation was not there yet; RejectedError when the moment is before the
        last one; DamagedLogError, which names it, at an event that cannot be read.
        """
        versions = self._versions(moment)
        self.connection.executemany("INSERT OR REPLACE INTO temp.bound VALUES (?, ?)", versions.items())
        with naming_damage(self.connection, LogRange(0, moment.position)):
            for row in self._history.rows(versions, after=self._followed, note=note):
                with_position(self._follow_attempt if row[3] in ATTEMPT_TYPES else self._follow, row)
        self._followed = versions
        self._tally.write(self.connection, self._installation_id)

    def _versions(self, moment: Moment) -> Versions:
        versions = {one: version for one, version in self._history.versions(moment).items() if one != MAIL_STREAM}
        if any(versions[stream] < version for stream, version in self._followed.items()):
            raise RejectedError(f"{moment_text(moment)} is before what was looked at last: the past only moves forward")
        return versions

    def _follow_attempt(self, row: EventRow) -> None:
        position, _, _, type_name, schema, recorded_at, data = row
        attempt = read_attempt(type_name, schema, data)
        self._tally.count(type_name, recorded_at, position, attempt, is_frozen=self._is_frozen)
        is_of_ledger = self._has_waiting and type_name == DeliverySucceeded.type_name
        if is_of_ledger or attempt.hold_until is not None or type_name in _PROBES:
            self._follow(row)  # the registry follows pauses and test deliveries, and no other attempt

    def _follow(self, row: EventRow) -> None:
        position, stream, version, type_name, schema, recorded_at, data = row
        event = decode_event(type_name, schema, data)
        stored = StoredEvent(position, stream, version, recorded_at, event)
        project(self.connection, (stored,), ("registry",))
        if type(event) in LEDGER_HANDLERS:
            LEDGER_HANDLERS[type(event)](self.connection, (stored,))
            self._has_waiting = has_waiting(self.connection)
        match event:
            case InstallationCreated() | InstallationEnabled():
                self._tally.clear_days()
            case InstallationCountsImported():
                self._tally.count_imported(event)
            case DisablingFrozen() | DisablingThawed():
                self._is_frozen = isinstance(event, DisablingFrozen)
            case _:
                pass


def _hide_what_is_later(connection: sqlite3.Connection) -> None:
    """Put what is of the moment before what is live: a name without a database means the temporary one first."""
    connection.execute("CREATE TEMP TABLE bound (stream TEXT PRIMARY KEY, version INTEGER NOT NULL) WITHOUT ROWID")
    connection.execute(
        "CREATE TEMP VIEW events AS SELECT position, stream, stored.version, type, schema, recorded_at, data, hash"
        " FROM live.events AS stored JOIN temp.bound USING (stream) WHERE stored.version <= bound.version"
    )
    make_ledger(connection)
    connection.execute(
        "CREATE TEMP VIEW queue AS SELECT installation_id, CASE WHEN is_waiting THEN 'waiting' ELSE state END AS state,"
        " enqueued_at, is_waiting AND is_recovery AS is_recovery, is_expired FROM main.ledger"
    )
