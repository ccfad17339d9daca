"""The append-only log of events."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

import msgspec

from eventstore.common.clock import time_text
from eventstore.common.connection import Connection
from eventstore.errors import ConflictError, UnknownEventError
from eventstore.events.catalogue import Event, stored_names
from eventstore.events.codec import decode_event, encode_event
from eventstore.sqlite.bulk import insert_rows, json_list
from eventstore.sqlite.paging import read_paged

__all__ = [
    "NO_HASH",
    "Handler",
    "Handlers",
    "NewEvent",
    "Origin",
    "StoredEvent",
    "append_events",
    "chain_hash",
    "check_versions",
    "last_position",
    "one_by_one",
    "origin_of",
    "read_events",
    "read_head",
]

# What stands for the hash before the first event.
NO_HASH = b"\x00" * 16


@dataclass(frozen=True, slots=True)
class Origin:
    """When, and in which stored form, another home has recorded an event; both are kept, a former name too."""

    recorded_at: str
    schema: int
    data: str
    type_name: str


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is to be appended to a stream; with an `origin` it was recorded elsewhere before."""

    stream: str
    event: Event
    origin: Origin | None = None


class StoredEvent(msgspec.Struct, frozen=True):
    """An event as the log holds it; `position` counts all events from 1, `version` those of its stream."""

    position: int
    stream: str
    version: int
    recorded_at: str
    event: Event

    @property
    def type(self) -> str:
        """The event's type name."""
        return self.event.type_name


# A projection's way to follow events: what it does, within the same transaction, for events in their order, all of
# classes that it follows by this handler. One event is a sequence of one.
Handler = Callable[[Connection, Sequence[StoredEvent]], None]
Handlers = Mapping[type[Event], Handler]


def one_by_one(handlers: Mapping[type[Event], Callable[[Connection, StoredEvent], None]]) -> Handlers:
    """Return handlers that take their events one after the other, each by what its class asks for."""

    def follow(connection: Connection, stored_events: Sequence[StoredEvent]) -> None:
        for stored in stored_events:
            handlers[type(stored.event)](connection, stored)

    return dict.fromkeys(handlers, follow)


def append_events(
    connection: Connection,
    new_events: Sequence[NewEvent],
    *,
    recorded_at: str,
    expected_versions: Mapping[str, int] | None = None,
) -> list[StoredEvent]:
    """Append within the caller's write transaction, in order, without gaps.

    `expected_versions` names for a stream the version it must be at, 0 = it must be new.
    Raises ConflictError when it is not.
    """
    position, previous_hash = read_head(connection)
    expected_versions = expected_versions or {}
    streams = {*expected_versions, *(new.stream for new in new_events)}
    versions = _versions(connection, streams)
    check_versions(versions, expected_versions)
    rows, stored = [], []
    for new in new_events:
        position += 1
        versions[new.stream] += 1
        event = new.event
        origin = origin_of(new, recorded_at)
        previous_hash = chain_hash(
            previous_hash,
            position=position,
            stream=new.stream,
            version=versions[new.stream],
            type_name=origin.type_name,
            schema=origin.schema,
            recorded_at=origin.recorded_at,
            data=origin.data,
        )
        rows.append(
            (
                position,
                new.stream,
                versions[new.stream],
                origin.type_name,
                origin.schema,
                origin.recorded_at,
                origin.data,
                previous_hash,
            )
        )
        stored.append(StoredEvent(position, new.stream, versions[new.stream], origin.recorded_at, event))
    insert_rows(connection, "INSERT INTO events", rows)
    return stored


def origin_of(new: NewEvent, recorded_at: str) -> Origin:
    """Return when and in which stored form an event is recorded: now and in today's, unless it comes from elsewhere."""
    event = new.event
    return new.origin or Origin(recorded_at, event.schema, encode_event(event), event.type_name)


def chain_hash(
    previous_hash: bytes,
    *,
    position: int,
    stream: str,
    version: int,
    type_name: str,
    schema: int,
    recorded_at: str,
    data: str,
) -> bytes:
    """Return the hash (BLAKE2b, 16 bytes) that ties an event to all before it."""
    text = f"{position}\n{stream}\n{version}\n{type_name}\n{schema}\n{recorded_at}\n{data}"
    return blake2b(previous_hash + text.encode(), digest_size=16).digest()


def last_position(connection: Connection) -> int:
    """Return the position of the newest event, 0 when there is none."""
    (position,) = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    return int(position)


def read_events(
    connection: Connection,
    *,
    after_position: int = 0,
    up_to_position: int | None = None,
    stream: str | None = None,
    type_names: Sequence[str] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    is_newest_first: bool = False,
    limit: int | None = None,
) -> Iterator[StoredEvent]:
    """Read events one by one, in the order of their positions.

    They are read some at a time: between two, and so while they are shown to somebody, no statement is under way that
    would keep SQLite from putting the WAL back into the file. Raises UnknownEventError, which names its position, at an
    event that cannot be read.
    """
    conditions: dict[str, Sequence[object]] = {}
    if stream is not None:
        conditions["stream = ?"] = [stream]
    if type_names:
        names = stored_names(type_names)
        conditions[f"type IN ({', '.join('?' * len(names))})"] = names
    for condition, moment in (("recorded_at >= ?", since), ("recorded_at <= ?", until)):
        if moment is not None:
            conditions[condition] = [time_text(moment)]
    rows = read_paged(
        connection,
        "position, stream, version, type, schema, recorded_at, data",
        conditions,
        after_position=after_position,
        up_to_position=up_to_position,
        is_of_one_stream=stream is not None,
        is_newest_first=is_newest_first,
        limit=limit,
    )
    for position, stream_name, version, type_name, schema, recorded_at, data in rows:
        try:
            event = decode_event(type_name, schema, data)
        except UnknownEventError as error:
            raise UnknownEventError(f"event {position}: {error}") from error
        yield StoredEvent(position, stream_name, version, recorded_at, event)


def read_head(connection: Connection) -> tuple[int, bytes]:
    """Return the position and the hash of the newest event; 0 and NO_HASH when there is none."""
    row = connection.execute("SELECT position, hash FROM events ORDER BY position DESC LIMIT 1").fetchone()
    return (row[0], row[1]) if row else (0, NO_HASH)


def _versions(connection: Connection, streams: Iterable[str]) -> dict[str, int]:
    (versions,) = connection.execute(
        "SELECT json_group_object(value, (SELECT coalesce(max(version), 0) FROM events WHERE stream = value))"
        " FROM json_each(?)",
        (json_list(streams),),
    ).fetchone()
    return msgspec.json.decode(versions, type=dict[str, int])


def check_versions(versions: Mapping[str, int], expected_versions: Mapping[str, int]) -> None:
    """Raise ConflictError where a stream is not at the version that is expected of it; without a version it is new."""
    for stream, expected in expected_versions.items():
        if versions.get(stream, 0) != expected:
            raise ConflictError(f"stream {stream} is at version {versions.get(stream, 0)}, and {expected} was expected")
