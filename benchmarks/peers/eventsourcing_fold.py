"""The same counts with the library eventsourcing: an aggregate for each installation, rebuilt from its events.

python -m benchmarks.peers.eventsourcing_fold write events.db library.db
python -m benchmarks.peers.eventsourcing_fold rebuild library.db
"""

import sqlite3
import sys
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from uuid import UUID

from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from eventstore.events.codec import decode_event
from eventstore.policies.day_counts import counted_class_of

# The library takes minutes for all of them: every tenth installation has to do, with all its events.
_EVERY = 10
_SAVED_AT_ONCE = 200


class Installation(Aggregate):
    """The broken-state buffer of one installation."""

    @event("Registered")
    def __init__(self) -> None:
        self.days: dict[str, dict[str, int]] = {}

    @event("Recorded")
    def record(self, day: str, counted: str) -> None:
        """Count one outcome."""
        counts = self.days.setdefault(day, {})
        counts[counted] = counts.get(counted, 0) + 1


def _application(path: str) -> Application[UUID]:
    return Application(env={"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": path})


def _outcomes(source: str) -> Iterator[tuple[str, str, str]]:
    """Return stream, day and class of each outcome of every tenth installation, stream by stream."""
    connection = sqlite3.connect(source)
    streams = [
        row[0]
        for row in connection.execute(
            "SELECT DISTINCT stream FROM events WHERE stream LIKE 'installation-%' ORDER BY 1"
        )
    ]
    for stream in streams[::_EVERY]:
        for type_name, schema, recorded_at, data in connection.execute(
            "SELECT type, schema, recorded_at, data FROM events WHERE stream = ? ORDER BY version", (stream,)
        ):
            if (counted := counted_class_of(decode_event(type_name, schema, data))) is not None:
                yield stream, recorded_at[:10], counted
    connection.close()


def _write(source: str, target: str) -> None:
    application = _application(target)
    for _, outcomes in groupby(_outcomes(source), key=itemgetter(0)):
        installation = Installation()
        for number, (_, day, counted) in enumerate(outcomes, start=1):
            installation.record(day, counted)
            if number % _SAVED_AT_ONCE == 0:
                application.save(installation)
        application.save(installation)
    application.close()


def _rebuild(path: str) -> None:
    """Rebuild each aggregate, and print how many outcomes they have counted."""
    connection = sqlite3.connect(path)
    ids = [row[0] for row in connection.execute("SELECT DISTINCT originator_id FROM stored_events")]
    connection.close()
    application = _application(path)
    counted = 0
    for one in ids:
        installation: Installation = application.repository.get(UUID(one))
        counted += sum(count for counts in installation.days.values() for count in counts.values())
    application.close()
    print(counted)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        _write(*sys.argv[2:])
    else:
        _rebuild(sys.argv[2])
