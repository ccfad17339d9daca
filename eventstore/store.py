"""The one way to write: a transaction that appends events and keeps every projection in step."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from eventstore import audit, buffer, health, outbox, registry, request_log
from eventstore.clock import Clock, SystemClock, time_text
from eventstore.database import open_database, writing
from eventstore.events import Event
from eventstore.log import Handler, NewEvent, StoredEvent, append_events

__all__ = ["Store", "Transaction"]


def _handlers() -> Mapping[type[Event], tuple[Handler, ...]]:
    merged: dict[type[Event], tuple[Handler, ...]] = {}
    for projection in (registry, health, buffer, request_log, audit, outbox):
        for event_class, handler in projection.HANDLERS.items():
            merged[event_class] = (*merged.get(event_class, ()), handler)
    return merged


_HANDLERS = _handlers()


@dataclass(frozen=True, slots=True)
class Transaction:
    """One write transaction: what is read in it is what its events are based on."""

    connection: sqlite3.Connection
    recorded_at: str

    def append(self, *new_events: NewEvent, expected_versions: Mapping[str, int] | None = None) -> list[StoredEvent]:
        """Append events and bring every projection that follows them to their state.

        Raises ConflictError when a stream is not at the version that is expected of it.
        """
        stored_events = append_events(
            self.connection, new_events, recorded_at=self.recorded_at, expected_versions=expected_versions
        )
        for stored in stored_events:
            for handler in _HANDLERS.get(type(stored.event), ()):
                handler(self.connection, stored)
        return stored_events


class Store:
    """A writing connection to events.db; one thread uses it at a time."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self.connection = open_database(path, is_writer=True)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run the block as one transaction: all of it is on disk afterwards, or nothing.

        Raises DatabaseError, of which DiskFullError is one.
        """
        with writing(self.connection):
            yield Transaction(self.connection, time_text(self.clock.now()))

    def close(self) -> None:
        """Give the connection back."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
