"""An installation as it was: a scratch that holds what follows from the events up to a moment, and no later one."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from eventstore.codec import decode_event
from eventstore.database import explained
from eventstore.errors import NotFoundError, RejectedError
from eventstore.events import (
    CountsImported,
    DeliverySucceeded,
    DisablingFrozen,
    DisablingThawed,
    InstallationCreated,
    InstallationEnabled,
    ProbeFailed,
    ProbeSucceeded,
)
from eventstore.identifiers import FLEET_STREAM, app_stream, installation_stream, organization_stream
from eventstore.log import StoredEvent
from eventstore.projections import project
from replay.attempt_tally import ATTEMPT_TYPES, AttemptTally, read_attempt
from replay.kept import KeptDeliveries
from replay.moment import Moment, moment_text
from replay.scratch import Scratch, open_scratch

__all__ = ["Past", "open_past"]

# How many events are followed between two words about the progress.
_NOTE_EVERY = 5_000

_PROBES = (ProbeSucceeded.type_name, ProbeFailed.type_name)

# position, stream, version, type, schema, recorded_at, data
_Row = tuple[int, str, int, str, int, str, str]


@contextmanager
def open_past(database: Path, installation_id: str) -> Iterator["Past"]:
    """Open the past of an installation; all that is read of it is of one state of the log. Raises DatabaseError."""
    with open_scratch(database) as scratch, explained(database):
        scratch.connection.execute("BEGIN")  # one snapshot of the live tables, and one transaction for the scratch
        yield Past(scratch, installation_id)


class Past:
    """One installation, moved forward from moment to moment.

    On its connection the readers of eventstore see the installation, its app, its organization and the fleet as
    they were: `events` ends at the moment, and `queue` holds what was kept. The requests are those of its own
    stream: here the others of its app push none of them out.
    """

    def __init__(self, scratch: Scratch, installation_id: str) -> None:
        self.connection = scratch.connection
        self._installation_id = installation_id
        self._stream = installation_stream(installation_id)
        self._followed: dict[str, int] = {}
        self._tally = AttemptTally()
        self._kept = KeptDeliveries()
        self._is_frozen = False
        _hide_what_is_later(self.connection)

    def count_events(self, moment: Moment) -> int:
        """Say how many events of the installation there are up to a moment."""
        return moment.last_version(self.connection, self._stream, "live")

    def move_to(self, moment: Moment, note: Callable[[int], None] = lambda _count: None) -> None:
        """Bring all to a moment, telling `note` now and then how many more events have been followed.

        Raises NotFoundError when the installation was not there yet; RejectedError when the moment is before the
        last one; UnknownEventError at an event that cannot be read.
        """
        versions = self._versions(moment)
        self.connection.executemany("INSERT OR REPLACE INTO temp.bound VALUES (?, ?)", versions.items())
        self._follow_all(versions, note)
        self._followed = versions
        self._tally.write(self.connection, self._installation_id)
        self._kept.write(self.connection, self._installation_id)

    def _versions(self, moment: Moment) -> dict[str, int]:
        """Say how far the streams that concern the installation had come."""
        created, position = self._creation(moment)
        versions = {self._stream: moment.last_version(self.connection, self._stream, "live")}
        versions[FLEET_STREAM] = moment.last_version(self.connection, FLEET_STREAM, "live")
        # What it was made of was there when it was created, whatever an imported history says of its time.
        creation = Moment(position, moment.at)
        for stream in (app_stream(created.app_id), organization_stream(created.organization_id)):
            versions[stream] = max(one.last_version(self.connection, stream, "live") for one in (moment, creation))
        if any(versions[stream] < version for stream, version in self._followed.items()):
            raise RejectedError(f"{moment_text(moment)} is before what was looked at last: the past moves forward only")
        return versions

    def _creation(self, moment: Moment) -> tuple[InstallationCreated, int]:
        row = self.connection.execute(
            "SELECT schema, data, version, recorded_at, position FROM live.events WHERE stream = ? AND type = ?"
            " ORDER BY version LIMIT 1",
            (self._stream, InstallationCreated.type_name),
        ).fetchone()
        if row is None or row[2] > self.count_events(moment):
            later = f": it was created at {row[3]} (event {row[4]})" if row else ""
            raise NotFoundError(
                f"installation {self._installation_id} was not there yet at {moment_text(moment)}{later}"
            )
        event = decode_event(InstallationCreated.type_name, *row[:2])
        assert isinstance(event, InstallationCreated)  # noqa: S101
        return event, row[4]

    def _follow_all(self, versions: Mapping[str, int], note: Callable[[int], None]) -> None:
        """Follow what was not followed yet, in the order of the log."""
        others = sorted((row for one in versions if one != self._stream for row in self._read(one)), reverse=True)
        count = 0
        for row in self._read(self._stream):
            while others and others[-1][0] < row[0]:
                self._follow(others.pop())
            if row[3] in ATTEMPT_TYPES:
                self._follow_attempt(row)
            else:
                self._follow(row)
            count += 1
            if count == _NOTE_EVERY:
                note(count)
                count = 0
        while others:
            self._follow(others.pop())
        note(count)

    def _read(self, stream: str) -> Iterator[_Row]:
        return self.connection.execute(
            "SELECT position, stream, version, type, schema, recorded_at, data FROM events"
            " WHERE stream = ? AND version > ? ORDER BY version",
            (stream, self._followed.get(stream, 0)),
        )

    def _follow_attempt(self, row: _Row) -> None:
        position, _, _, type_name, schema, recorded_at, data = row
        attempt = read_attempt(type_name, schema, data)
        self._tally.count(type_name, recorded_at, position, attempt, is_frozen=self._is_frozen)
        if self._kept.deliveries and type_name == DeliverySucceeded.type_name:
            self._kept.forget(attempt.delivery_id)
        if attempt.hold_until is not None or type_name in _PROBES:
            self._follow(row)  # the registry follows pauses and test deliveries, and no other attempt

    def _follow(self, row: _Row) -> None:
        position, stream, version, type_name, schema, recorded_at, data = row
        event = decode_event(type_name, schema, data)
        project(self.connection, StoredEvent(position, stream, version, recorded_at, event), ("registry",))
        self._kept.follow(event)
        match event:
            case InstallationCreated() | InstallationEnabled():
                self._tally.clear_days()
            case CountsImported():
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
    connection.execute("CREATE TEMP TABLE queue AS SELECT * FROM live.queue LIMIT 0")
