"""The log of a home, as a transaction and whoever reads it see it."""

from collections.abc import Iterator, Mapping, Sequence

from eventstore.common.connection import Connection
from eventstore.log.event_log import NewEvent, StoredEvent, append_events, read_events, read_head

__all__ = ["SqliteLog"]


class SqliteLog:
    """The table `events`, by a connection: to append, one within a write transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(
        self,
        new_events: Sequence[NewEvent],
        *,
        recorded_at: str,
        expected_versions: Mapping[str, int] | None = None,
    ) -> list[StoredEvent]:
        """Append events in order, without gaps. Raises ConflictError."""
        return append_events(self._connection, new_events, recorded_at=recorded_at, expected_versions=expected_versions)

    def head(self) -> tuple[int, bytes]:
        """Return the position and the hash of the newest event."""
        return read_head(self._connection)

    def read(
        self,
        *,
        after_position: int = 0,
        stream: str | None = None,
        type_names: Sequence[str] = (),
        is_newest_first: bool = False,
        limit: int | None = None,
    ) -> Iterator[StoredEvent]:
        """Read events one by one. Raises UnknownEventError."""
        return read_events(
            self._connection,
            after_position=after_position,
            stream=stream,
            type_names=type_names,
            is_newest_first=is_newest_first,
            limit=limit,
        )
