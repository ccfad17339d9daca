"""The queue of a home, as its dispatcher reads it."""

from collections.abc import Collection, Mapping
from types import MappingProxyType

from eventstore.log.change_signal import change_version
from eventstore.queue.claim import Claim, claim, installations_with_waiting
from eventstore.queue.news import News, Seen
from eventstore.queue.packed_batches import is_unopened, unopened_packed_batches
from eventstore.sqlite.database import reading
from eventstore.sqlite.reader_pool import Readers

__all__ = ["SqliteQueue"]


class SqliteQueue:
    """Reads the tables of events.db, by connections that are lent for each look."""

    def __init__(self, readers: Readers) -> None:
        self._readers = readers

    def poll(self, seen: Seen) -> News:
        """Return what is new since a look."""
        # Of one moment: else what another worker makes of a packed batch in between would be seen as neither.
        with self._readers.borrow() as connection, reading(connection):
            version = change_version(connection)
            is_changed = version != seen.version
            installations, sequence = installations_with_waiting(
                connection, after_sequence=0 if is_changed else seen.sequence
            )
            packed_batches = unopened_packed_batches(connection, after_sequence=seen.packed_batch)
        newest = packed_batches[-1][0] if packed_batches else seen.packed_batch
        return News(Seen(version, sequence, newest), is_changed, installations, tuple(packed_batches))

    def claim(
        self,
        limits: Mapping[str, int],
        *,
        due_at: str,
        in_flight_sequences: Collection[int] = (),
        before: Mapping[str, int] = MappingProxyType({}),
        known_packed_batch: int = 0,
    ) -> dict[str, Claim]:
        """Return what is due, as `eventstore.queue.claim.claim` reads it."""
        with self._readers.borrow() as connection:
            return claim(
                connection,
                limits,
                due_at=due_at,
                in_flight_sequences=in_flight_sequences,
                before=before,
                known_packed_batch=known_packed_batch,
            )

    def unopened(self, packed_batches: Collection[int]) -> tuple[int, ...]:
        """Return those of some packed batches that nobody has opened yet."""
        with self._readers.borrow() as connection:
            return tuple(one for one in packed_batches if is_unopened(connection, one))
