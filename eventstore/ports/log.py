"""What is asked of the log of events."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from eventstore.log.event_log import NewEvent, StoredEvent

__all__ = ["Log"]


class Log(Protocol):
    """Events in the order of their commits: positions count from 1 and have no gaps, and each hash holds all before it.

    The hash is `eventstore.log.event_log.chain_hash`, the same in every store, so that a log can be moved.
    """

    def append(
        self,
        new_events: Sequence[NewEvent],
        *,
        recorded_at: str,
        expected_versions: Mapping[str, int] | None = None,
    ) -> list[StoredEvent]:
        """Append events in order, all of them or none.

        `expected_versions` names for a stream the version it must be at, 0 = it must be new. Raises ConflictError when
        it is not.
        """

    def head(self) -> tuple[int, bytes]:
        """Return the position and the hash of the newest event; 0 and `NO_HASH` when there is none."""

    def read(
        self,
        *,
        after_position: int = 0,
        stream: str | None = None,
        type_names: Sequence[str] = (),
        is_newest_first: bool = False,
        limit: int | None = None,
    ) -> Iterator[StoredEvent]:
        """Read events one by one, in the order of their positions or from the newest on.

        Raises UnknownEventError at one that cannot be read.
        """
