"""The implementations of queue, committer and log, each over a store of its own."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from eventstore.common.clock import ManualClock, time_text
from eventstore.deliveries.commit_group import SqliteCommitter
from eventstore.home.folder import Home
from eventstore.log.change_signal import notify_change
from eventstore.log.event_log import NewEvent, StoredEvent
from eventstore.log.sqlite_log import SqliteLog
from eventstore.memory.committer import MemoryCommitter
from eventstore.memory.log import MemoryLog
from eventstore.memory.queue import MemoryQueue
from eventstore.memory.store import MemoryStore
from eventstore.ports.committer import Committer
from eventstore.ports.log import Log
from eventstore.ports.queue import Queue
from eventstore.queue.delivery import NewDelivery
from eventstore.queue.enqueue import enqueue
from eventstore.queue.sqlite_queue import SqliteQueue
from eventstore.sqlite.reader_pool import Readers
from eventstore.unit_of_work import Store
from tests.eventstore.facts import register

INSTALLATIONS = tuple(f"00000000-0000-4000-8000-00000000000{number}" for number in (1, 2, 3))
ONE, TWO, THREE = INSTALLATIONS


class Stored(Protocol):
    """A store with what its ports are, and what no port does: queueing, and a person's changes."""

    clock: ManualClock

    @property
    def queue(self) -> Queue: ...
    @property
    def committer(self) -> Committer: ...
    @property
    def log(self) -> Log: ...

    def put(self, *deliveries: NewDelivery, is_packed: bool = False, **fields: Any) -> list[int]:
        """Queue deliveries, and return their sequence numbers. `fields`: of their rows, as they are."""

    def notify_change(self) -> None:
        """Make the next look see everything."""

    def close(self) -> None: ...


class InSqlite:
    """A home's database, as it is in production."""

    def __init__(self, folder: Path, clock: ManualClock) -> None:
        home = Home(folder / "home")
        home.prepare()
        self.clock = clock
        self._store = Store(home.database, clock)
        self._readers = Readers(home.database)
        self.queue = SqliteQueue(self._readers)
        self.committer = SqliteCommitter(self._store)
        self.log: Log = _AppendingLog(self._store)
        for number, one in enumerate(INSTALLATIONS):
            register(self._store, installation_id=one, app_id=number + 1)

    def put(self, *deliveries: NewDelivery, is_packed: bool = False, **fields: Any) -> list[int]:
        with self._store.transaction() as transaction:
            connection = transaction.connection
            # As many as are kept packed: the queue decides by their number.
            many = [one for one in deliveries for _ in range(64 // len(deliveries))] if is_packed else deliveries
            ids = enqueue(connection, many, enqueued_at=time_text(self.clock.now()), in_packed_batches=is_packed)
            if is_packed:
                (first,) = connection.execute("SELECT max(first_sequence) FROM parcels").fetchone()
                return list(range(first, first + len(many)))
            marks = ", ".join("?" * len(ids))
            if fields:
                connection.execute(
                    f"UPDATE queue SET {', '.join(f'{name} = ?' for name in fields)} WHERE delivery_id IN ({marks})",
                    (*fields.values(), *ids),
                )
            rows = connection.execute(f"SELECT sequence FROM queue WHERE delivery_id IN ({marks}) ORDER BY 1", ids)
            return [row[0] for row in rows]

    def notify_change(self) -> None:
        with self._store.transaction() as transaction:
            notify_change(transaction.connection)

    def close(self) -> None:
        self._readers.close()
        self._store.close()


class _AppendingLog(SqliteLog):
    """A log that appends in a transaction of its own: in production its caller's holds more than that."""

    def __init__(self, store: Store) -> None:
        super().__init__(store.connection)
        self._store = store

    def append(self, new_events: Sequence[NewEvent], **arguments: Any) -> list[StoredEvent]:
        with self._store.transaction():
            return super().append(new_events, **arguments)


class InMemory:
    """The store in memory."""

    def __init__(self, _folder: Path, clock: ManualClock) -> None:
        self.clock = clock
        self._store = MemoryStore()
        self.queue = MemoryQueue(self._store)
        self.committer = MemoryCommitter(self._store, clock)
        self.log = MemoryLog(self._store)

    def put(self, *deliveries: NewDelivery, is_packed: bool = False, **fields: Any) -> list[int]:
        many = [one for one in deliveries for _ in range(64 // len(deliveries))] if is_packed else deliveries
        return self._store.enqueue(many, enqueued_at=time_text(self.clock.now()), is_packed=is_packed, **fields)

    def notify_change(self) -> None:
        self._store.notify_change()

    def close(self) -> None:
        """Leave it to be collected."""


IMPLEMENTATIONS: dict[str, Callable[[Path, ManualClock], Stored]] = {"sqlite": InSqlite, "memory": InMemory}


@contextmanager
def opened(name: str, folder: Path, clock: ManualClock) -> Iterator[Stored]:
    """Lend a store of an implementation."""
    stored = IMPLEMENTATIONS[name](folder, clock)
    try:
        yield stored
    finally:
        stored.close()


def new(installation_id: str = ONE, key: str = "", name: str = "issue.created") -> NewDelivery:
    """Make a delivery that is about to be queued."""
    return NewDelivery(installation_id, name, "{}", ordering_key=key)
