"""The one way to write: a transaction that appends events and keeps every projection in step."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from eventstore.clock import Clock, SystemClock, time_text
from eventstore.database import open_database, writing
from eventstore.log import NewEvent, StoredEvent, append_events
from eventstore.projections import project_all
from eventstore.snapshot import renew_snapshots
from eventstore.write_turn import WriteTurn

__all__ = ["Store", "TakenBackError", "Transaction"]


class TakenBackError(Exception):
    """Raised within a transaction, to undo what was done in it; nothing else is wrong."""


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
        project_all(self.connection, stored_events)
        renew_snapshots(self.connection, stored_events)
        return stored_events


class Store:
    """A writing connection to events.db; one thread uses it at a time."""

    def __init__(self, path: Path, clock: Clock | None = None, *, is_patient: bool = False) -> None:
        """`is_patient`: it waits for others' transactions for as long as it takes, where others give up."""
        self.clock = clock or SystemClock()
        self.connection = open_database(path, is_writer=True)
        self._turn = WriteTurn(path, is_patient=is_patient)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run the block as one transaction: all of it is on disk afterwards, or nothing.

        Raises DatabaseError, of which DiskFullError is one.
        """
        with self._turn.taken(), writing(self.connection):
            yield Transaction(self.connection, time_text(self.clock.now()))

    def close(self) -> None:
        """Give the connection back."""
        self.connection.close()
        self._turn.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
