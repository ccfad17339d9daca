"""The queue in memory, read by the rules of the one in events.db."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from eventstore.memory.store import MemoryState, MemoryStore
from eventstore.policies.waits import QueuedWait
from eventstore.queue.claim import Claim
from eventstore.queue.delivery import QueuedDelivery
from eventstore.queue.news import News, Seen

__all__ = ["MemoryQueue"]

_NO_LIMIT = 2**62


class MemoryQueue:
    """Reads a store in memory: rule by rule, where SQLite has one statement for all."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def poll(self, seen: Seen) -> News:
        """Return what is new since a look."""
        state = self._store.look()
        is_changed = state.version != seen.version
        after = 0 if is_changed else seen.sequence
        waiting = (one for one in _waiting(state) if one.sequence > after)
        packed_batches = sorted(one for one in state.packed_batches if one > seen.packed_batch)
        return News(
            Seen(
                state.version,
                max(state.deliveries, default=0) if is_changed else max(seen.sequence, *state.deliveries, 0),
                packed_batches[-1] if packed_batches else seen.packed_batch,
            ),
            is_changed,
            tuple(dict.fromkeys(one.installation_id for one in waiting)),
            tuple(
                (first, dict(Counter(one.installation_id for one in state.packed_batches[first])))
                for first in packed_batches
            ),
        )

    def claim(
        self,
        limits: Mapping[str, int],
        *,
        due_at: str,
        in_flight_sequences: Collection[int] = (),
        before: Mapping[str, int] = MappingProxyType({}),
        known_packed_batch: int = 0,
    ) -> dict[str, Claim]:
        """Return what is due."""
        state = self._store.look()
        unknown = min((first for first in state.packed_batches if first > known_packed_batch), default=_NO_LIMIT)
        claims = {}
        for installation_id, limit in limits.items():
            mine = [one for one in _waiting(state) if one.installation_id == installation_id]
            end = min(before.get(installation_id, _NO_LIMIT), unknown)
            ready = [
                one
                for one in _next_of_each(mine)
                if one.due_at <= due_at
                and one.sequence not in in_flight_sequences
                and (one.sequence < end or one.is_probe)
            ]
            ready.sort(key=lambda one: (one.due_at, one.sequence))
            claims[installation_id] = _claim(ready, mine, limit, due_at)
        return claims

    def unopened(self, packed_batches: Collection[int]) -> tuple[int, ...]:
        """Return those of some packed batches that nobody has opened yet."""
        state = self._store.look()
        return tuple(one for one in packed_batches if one in state.packed_batches)


def _waiting(state: MemoryState) -> Iterator[QueuedDelivery]:
    return (one for _, one in sorted(state.deliveries.items()) if one.state == "waiting")


def _next_of_each(mine: list[QueuedDelivery]) -> Iterator[QueuedDelivery]:
    """Yield what none of its ordering key stands before, and of what is being recovered the next one alone."""
    first_of_key: dict[str, int] = {}
    for one in mine:
        if one.ordering_key:
            first_of_key.setdefault(one.ordering_key, one.sequence)
    is_recovering = False
    for one in mine:
        if first_of_key.get(one.ordering_key, one.sequence) != one.sequence:
            continue
        if one.is_recovery and not one.attempts:
            if is_recovering:
                continue
            is_recovering = True
        yield one


def _claim(ready: list[QueuedDelivery], mine: list[QueuedDelivery], limit: int, due_at: str) -> Claim:
    if len(ready) >= limit:
        return Claim(tuple(ready[:limit]), due_at)
    keys: set[str] = set()
    later = []
    for one in mine:
        if not (one.ordering_key and one.ordering_key in keys) and one.due_at > due_at:
            later.append(one)
        keys.add(one.ordering_key)
    if not later:
        return Claim(tuple(ready), None)
    soonest = min(later, key=lambda one: one.due_at)
    wait = QueuedWait(soonest.due_at, soonest.attempts, int(soonest.is_recovery), soonest.last_error, soonest.sequence)
    return Claim(tuple(ready), soonest.due_at, wait)
