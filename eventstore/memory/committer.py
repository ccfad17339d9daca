"""The commit in memory: deliveries and events, and no projection beside them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from eventstore.common.clock import Clock, time_text
from eventstore.deliveries.commit_group import CommitGroup
from eventstore.deliveries.record_attempts import DeliveryRecord, events_of
from eventstore.events.catalogue import DeliveryMissed
from eventstore.memory.log import append_to
from eventstore.memory.store import MemoryState, MemoryStore
from eventstore.queue.delivery import QueuedDelivery, error_text

if TYPE_CHECKING:
    from eventstore.decisions.outage_watch import HealthChange
    from eventstore.log.event_log import NewEvent

__all__ = ["MemoryCommitter"]


class MemoryCommitter:
    """Carries groups out on a store in memory. `health`: what was committed; nobody evaluates it here."""

    def __init__(self, store: MemoryStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.health: list[HealthChange] = []

    def commit(self, group: CommitGroup) -> list[int]:
        """Carry a group out, all of it or nothing, and return the position of each outcome."""
        with self._store.transaction() as state:
            positions = _record(state, group.records, recorded_at=time_text(self._clock.now()))
            append_to(state, group.events, recorded_at=time_text(self._clock.now()))
            for packed_batch in group.packed_batches:
                for one in state.packed_batches.pop(packed_batch, ()):
                    state.deliveries[one.sequence] = one
        self.health += group.health
        return positions


def _record(state: MemoryState, records: Sequence[DeliveryRecord], *, recorded_at: str) -> list[int]:
    new_events: list[NewEvent] = []
    offsets = []
    for record in records:
        is_awaited = _acknowledge(state, record)
        offsets.append(len(new_events) if is_awaited else -1)
        if is_awaited:
            new_events += events_of(record)
    stored = append_to(state, new_events, recorded_at=recorded_at)
    return [stored[offset].position if offset >= 0 else 0 for offset in offsets]


def _acknowledge(state: MemoryState, record: DeliveryRecord) -> bool:
    """Return whether the queue still waited for an attempt; it does not any more."""
    sequence, known = record.delivery.sequence, state.deliveries.get(record.delivery.sequence)
    if known is None or known.state != "waiting" or known.attempts != record.delivery.attempts:
        return False
    if record.is_done:
        del state.deliveries[sequence]
    else:
        state.deliveries[sequence] = _after(known, record)
    return True


def _after(delivery: QueuedDelivery, record: DeliveryRecord) -> QueuedDelivery:
    event = record.event
    if isinstance(event, DeliveryMissed):
        return replace(delivery, state="missed", is_recovery=False)
    failed = replace(
        delivery, attempts=delivery.attempts + 1, last_error=error_text(event.status_code, event.error_class)
    )
    if event.retry_at is None:
        return replace(failed, state="dead", is_recovery=False)
    return replace(failed, due_at=event.retry_at)
