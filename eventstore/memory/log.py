"""The log in memory."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from eventstore.events.catalogue import stored_names
from eventstore.events.codec import decode_event
from eventstore.log.event_log import NO_HASH, NewEvent, StoredEvent, chain_hash, check_versions, origin_of
from eventstore.memory.store import MemoryState, MemoryStore, StoredHash

__all__ = ["MemoryLog", "append_to"]


def append_to(
    state: MemoryState,
    new_events: Sequence[NewEvent],
    *,
    recorded_at: str,
    expected_versions: Mapping[str, int] | None = None,
) -> list[StoredEvent]:
    """Append to a state that its caller changes. Raises ConflictError."""
    versions = Counter(stored.stream for stored, _ in state.events)
    check_versions(versions, expected_versions or {})
    added: list[StoredHash] = []
    position, previous_hash = _head(state)
    for new in new_events:
        origin = origin_of(new, recorded_at)
        position += 1
        versions[new.stream] += 1
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
        event = decode_event(origin.type_name, origin.schema, origin.data)
        added.append(
            (StoredEvent(position, new.stream, versions[new.stream], origin.recorded_at, event), previous_hash)
        )
    state.events += added
    return [stored for stored, _ in added]


def _head(state: MemoryState) -> tuple[int, bytes]:
    if not state.events:
        return 0, NO_HASH
    stored, event_hash = state.events[-1]
    return stored.position, event_hash


class MemoryLog:
    """The events of a store in memory."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def append(
        self,
        new_events: Sequence[NewEvent],
        *,
        recorded_at: str,
        expected_versions: Mapping[str, int] | None = None,
    ) -> list[StoredEvent]:
        """Append events in order, without gaps. Raises ConflictError."""
        with self._store.transaction() as state:
            return append_to(state, new_events, recorded_at=recorded_at, expected_versions=expected_versions)

    def head(self) -> tuple[int, bytes]:
        """Return the position and the hash of the newest event."""
        return _head(self._store.look())

    def read(
        self,
        *,
        after_position: int = 0,
        stream: str | None = None,
        type_names: Sequence[str] = (),
        is_newest_first: bool = False,
        limit: int | None = None,
    ) -> Iterator[StoredEvent]:
        """Read events one by one."""
        names = set(stored_names(type_names))
        found = [
            stored
            for stored, _ in self._store.look().events
            if stored.position > after_position
            and (stream is None or stored.stream == stream)
            and (not names or stored.type in names)
        ]
        yield from (found[::-1] if is_newest_first else found)[:limit]
