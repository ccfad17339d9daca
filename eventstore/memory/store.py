"""What the implementations in memory share: deliveries, packed batches and events, behind one lock."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from eventstore.common.identifiers import new_ids
from eventstore.log.event_log import StoredEvent
from eventstore.queue.delivery import NewDelivery, QueuedDelivery

__all__ = ["MemoryState", "MemoryStore", "StoredHash"]

StoredHash = tuple[StoredEvent, bytes]


@dataclass(slots=True)
class MemoryState:
    """All that a store in memory holds; `deliveries` by sequence number, `packed_batches` by their first one."""

    version: int = 0
    last_sequence: int = 0
    deliveries: dict[int, QueuedDelivery] = field(default_factory=dict)
    packed_batches: dict[int, tuple[QueuedDelivery, ...]] = field(default_factory=dict)
    events: list[StoredHash] = field(default_factory=list)

    def copy(self) -> "MemoryState":
        """Return one of its own to change; the values in it never change."""
        return MemoryState(
            self.version, self.last_sequence, dict(self.deliveries), dict(self.packed_batches), list(self.events)
        )


class MemoryStore:
    """A state that changes as a whole or not at all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._state = MemoryState()

    def look(self) -> MemoryState:
        """Return the state of now, which nobody changes."""
        return self._state

    @contextmanager
    def transaction(self) -> Iterator[MemoryState]:
        """Lend a copy to change, which takes the state's place at the end, unless the block raises."""
        with self._lock:
            state = self._state.copy()
            yield state
            self._state = state

    def notify_change(self) -> None:
        """Tell whoever looks next to look at everything."""
        with self.transaction() as state:
            state.version += 1

    def enqueue(
        self,
        deliveries: Sequence[NewDelivery],
        *,
        enqueued_at: str,
        due_at: str | None = None,
        is_packed: bool = False,
        is_recovery: bool = False,
        is_probe: bool = False,
    ) -> list[int]:
        """Queue deliveries, as rows or as one packed batch, and return their sequence numbers."""
        with self.transaction() as state:
            first = state.last_sequence + 1
            state.last_sequence += len(deliveries)
            queued = tuple(
                QueuedDelivery(
                    sequence=first + number,
                    delivery_id=new.delivery_id or made_id,
                    installation_id=new.installation_id,
                    event_name=new.event_name,
                    ordering_key=new.ordering_key,
                    state="waiting",
                    attempts=0,
                    enqueued_at=enqueued_at,
                    due_at=due_at or enqueued_at,
                    last_error="",
                    actor=new.actor,
                    data=new.data,
                    is_probe=is_probe,
                    is_recovery=is_recovery,
                )
                for number, (new, made_id) in enumerate(zip(deliveries, new_ids(len(deliveries)), strict=True))
            )
            if is_packed:
                state.packed_batches[first] = queued
            else:
                state.deliveries.update((one.sequence, one) for one in queued)
        return [one.sequence for one in queued]
