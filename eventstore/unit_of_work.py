"""The one way to write: a transaction that appends events and keeps every projection in step."""

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Self

from eventstore.common.clock import Clock, SystemClock, time_text
from eventstore.errors import LostCommitsError
from eventstore.log.event_log import NewEvent, StoredEvent
from eventstore.log.snapshots import renew_snapshots
from eventstore.log.sqlite_log import SqliteLog
from eventstore.projections.catalogue import project
from eventstore.sqlite.database import (
    BUSY_S,
    WAL_LIMIT_BYTES,
    explained,
    open_database,
    waiting_at_most,
    wal_bytes,
    writing,
)
from eventstore.sqlite.high_water_mark import HighWaterMark
from eventstore.sqlite.opened_files import OpenedFiles, loss_text
from eventstore.sqlite.writer_lock import WriterLock

__all__ = ["Store", "TakenBackError", "Transaction"]


# For as long nobody else can begin to write.
_TRIM_S = 0.1
# So much of the wait may be used up before the rest is worth a statement.
_LATE_S = 0.5
# Three looks at a folder cost as much as the rest of what is done about damage; a writer in full flow makes thousands
# of commits a second.
_LOOK_S = 0.02


class TakenBackError(Exception):
    """Raised within a transaction, to undo what was done in it; nothing else is wrong."""


@dataclass(slots=True)
class Transaction:
    """One write transaction: what is read in it is what its events are based on. `position`: of its last event.

    `now` is the moment by which it decides, and `recorded_at` the same as it is stored.
    """

    connection: sqlite3.Connection
    now: datetime
    position: int = 0
    recorded_at: str = field(init=False)
    log: SqliteLog = field(init=False)

    def __post_init__(self) -> None:
        """Write the moment down once."""
        self.log = SqliteLog(self.connection)
        self.recorded_at = time_text(self.now)

    def append(self, *new_events: NewEvent, expected_versions: Mapping[str, int] | None = None) -> list[StoredEvent]:
        """Append events and bring every projection that follows them to their state.

        Raises ConflictError when a stream is not at the version that is expected of it.
        """
        stored_events = self.log.append(new_events, recorded_at=self.recorded_at, expected_versions=expected_versions)
        if stored_events:
            self.position = stored_events[-1].position
        project(self.connection, stored_events)
        renew_snapshots(self.connection, stored_events)
        return stored_events


class Store:
    """A writing connection to events.db; one thread uses it at a time."""

    def __init__(self, path: Path, clock: Clock | None = None, *, wait_forever: bool = False) -> None:
        """`wait_forever`: it waits for others' transactions for as long as it takes, where others give up.

        Raises LostCommitsError when what was committed is not there any more; DatabaseError.
        """
        self.clock = clock or SystemClock()
        self._path = path
        self._wait_forever = wait_forever
        self._look_s = 0.0
        started_s = time.monotonic()
        self.connection = open_database(path, is_writer=True)
        # What opening it took counts for the first transaction: whoever does both waits once.
        self._waited_s = time.monotonic() - started_s
        try:
            self._mark = HighWaterMark(path, self.connection)
            self._files = OpenedFiles(path)
            self._writer_lock = WriterLock(path, wait_forever=wait_forever)
        except BaseException:
            self.connection.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Run the block as one transaction: all of it is on disk afterwards, or nothing.

        It waits for other writers, to all intents and purposes, for BUSY_S seconds: for the writer lock, and then for
        those that do not know of it. Raises DatabaseError, of which DiskFullError is one; LostCommitsError when
        somebody commits elsewhere, as the database's files were removed or replaced.
        """
        deadline_s = time.monotonic() + BUSY_S - self._waited_s
        self._waited_s = 0.0
        with self._writer_lock.taken(deadline_s - time.monotonic()):
            left_s = deadline_s - time.monotonic()
            is_late = not self._wait_forever and left_s < BUSY_S - _LATE_S
            with waiting_at_most(self.connection, left_s) if is_late else nullcontext():
                with writing(self.connection):
                    self._mark.require_kept()
                    transaction = Transaction(self.connection, self.clock.now())
                    yield transaction
                    reached = self._mark.reached(transaction.position)
                self._mark.move(reached)
        self._require_files()

    def trim_wal(self) -> bool:
        """Put a WAL that has become large back into the database, as far as readers allow; return whether it is small.

        A commit does so by itself, but not while somebody reads, and nobody commits to a home that has nothing to do.
        Raises DatabaseError.
        """
        if wal_bytes(self._path) <= WAL_LIMIT_BYTES:
            return True
        # Readers are not waited for.
        with self._writer_lock.taken(), explained(self._path), waiting_at_most(self.connection, _TRIM_S):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return wal_bytes(self._path) <= WAL_LIMIT_BYTES

    def _require_files(self) -> None:
        """Acknowledge nothing that went into a file without a name."""
        now_s = time.monotonic()
        if now_s < self._look_s:
            return
        self._look_s = now_s + _LOOK_S
        if lost := self._files.lost():
            self._look_s = 0.0
            raise LostCommitsError(loss_text(lost))

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()
        self._mark.close()
        self._writer_lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
