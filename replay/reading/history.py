"""The events that concern one installation: its own, its app's, its organization's, the fleet's, the mails'."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from eventstore.common.connection import Connection
from eventstore.common.identifiers import (
    FLEET_STREAM,
    MAIL_STREAM,
    app_stream,
    installation_stream,
    organization_stream,
)
from eventstore.errors import NotFoundError, UnknownEventError
from eventstore.events.catalogue import (
    ATTEMPT_TYPES,
    BreakerClosed,
    BreakerOpened,
    DeliveryDropped,
    DeliveryExhausted,
    DeliveryExpired,
    DeliveryMissed,
    DeliveryRequeued,
    InstallationCreated,
)
from eventstore.events.codec import decode_event
from eventstore.sqlite.paging import read_paged
from replay.reading.moment import Moment, moment_text

__all__ = ["EventRow", "History", "Versions", "with_position"]

# position, stream, version, type, schema, recorded_at, data
EventRow = tuple[int, str, int, str, int, str, str]

# What happens too often to be read where only the attempts after a moment are wanted.
_FREQUENT = (
    *sorted(ATTEMPT_TYPES),
    *(
        one.type_name
        for one in (
            BreakerClosed,
            BreakerOpened,
            DeliveryDropped,
            DeliveryExhausted,
            DeliveryExpired,
            DeliveryMissed,
            DeliveryRequeued,
        )
    ),
)

# How many events are read between two words about the progress.
_NOTE_EVERY = 5_000

# stream -> the version that it had reached
Versions = Mapping[str, int]


def with_position(follow: Callable[[EventRow], None], row: EventRow) -> None:
    """Follow an event; where it cannot be read the UnknownEventError names its position."""
    try:
        follow(row)
    except UnknownEventError as error:
        raise UnknownEventError(f"event {row[0]}: {error}") from error


class History:
    """Reads from the log what concerns an installation; `database` as SQL names it."""

    def __init__(self, connection: Connection, installation_id: str, database: str = "main") -> None:
        self.stream = installation_stream(installation_id)
        self._installation_id = installation_id
        self._connection = connection
        self._database = database

    def count_events(self, moment: Moment) -> int:
        """Return how many events of the installation itself there are up to a moment."""
        return moment.last_version(self._connection, self.stream, self._database)

    def versions(self, moment: Moment) -> Versions:
        """Return how far each stream had come. Raises NotFoundError when the installation was not there yet."""
        created, position = self._creation(moment)
        # What it was made of was there when it was created, whatever an imported history says of its time.
        creation = Moment(position, moment.at)
        made_of = (app_stream(created.app_id), organization_stream(created.organization_id))
        return {stream: self._version(stream, moment) for stream in (self.stream, FLEET_STREAM, MAIL_STREAM)} | {
            stream: max(self._version(stream, moment), self._version(stream, creation)) for stream in made_of
        }

    def rows(
        self,
        until: Versions,
        *,
        after: Versions | None = None,
        since: Moment | None = None,
        note: Callable[[int], None] = lambda _count: None,
    ) -> Iterator[EventRow]:
        """Read what is not after `until`, in the order of the log, telling `note` now and then how many more are read.

        With `after` only what comes after those versions; with `since` nothing frequent from before that moment.
        """
        after = after or {}
        others = sorted(
            (row for one in until if one != self.stream for row in self._read(one, until, after)), reverse=True
        )
        count = len(others)
        for row in self._read(self.stream, until, after, since):
            while others and others[-1][0] < row[0]:
                yield others.pop()
            yield row
            count += 1
            if count >= _NOTE_EVERY:
                note(count)
                count = 0
        yield from reversed(others)
        note(count)

    def _version(self, stream: str, moment: Moment) -> int:
        return moment.last_version(self._connection, stream, self._database)

    def _creation(self, moment: Moment) -> tuple[InstallationCreated, int]:
        row = self._connection.execute(
            f"SELECT schema, data, version, recorded_at, position FROM {self._database}.events"  # noqa: S608 - a name
            " WHERE stream = ? AND type = ? ORDER BY version LIMIT 1",
            (self.stream, InstallationCreated.type_name),
        ).fetchone()
        if row is None or row[2] > self.count_events(moment):
            later = f": it was created at {row[3]} (event {row[4]})" if row else ""
            raise NotFoundError(
                f"installation {self._installation_id} was not there yet at {moment_text(moment)}{later}"
            )
        event = decode_event(InstallationCreated.type_name, *row[:2])
        assert isinstance(event, InstallationCreated)  # noqa: S101
        return event, row[4]

    def _read(self, stream: str, until: Versions, after: Versions, since: Moment | None = None) -> Iterator[EventRow]:
        conditions: dict[str, Sequence[object]] = {
            "stream = ?": [stream],
            "version > ?": [after.get(stream, 0)],
            "version <= ?": [until[stream]],
        }
        if since is not None:
            condition, first = since.begins()
            conditions[f"({condition} OR type NOT IN ({', '.join('?' * len(_FREQUENT))}))"] = [first, *_FREQUENT]
        columns = "position, stream, version, type, schema, recorded_at, data"
        return read_paged(
            self._connection, columns, conditions, is_of_one_stream=True, table=f"{self._database}.events"
        )
