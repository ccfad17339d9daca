"""What the dispatcher asks of the queue."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Protocol

from eventstore.queue.claim import Claim
from eventstore.queue.news import News, Seen

__all__ = ["Queue"]


class Queue(Protocol):
    """Deliveries that wait. Nothing here writes: what is claimed and then forgotten by a crash is still waiting.

    A delivery leaves the queue, or waits for its next attempt, with the commit of its outcome (`Committer`).
    """

    def poll(self, seen: Seen) -> News:
        """Return what is new since a look, all of it of one moment; from `Seen()` on, everything."""

    def claim(
        self,
        limits: Mapping[str, int],
        *,
        due_at: str,
        in_flight_sequences: Collection[int] = (),
        before: Mapping[str, int] = MappingProxyType({}),
        known_packed_batch: int = 0,
    ) -> dict[str, Claim]:
        """Return up to so many deliveries of each installation that are due and not held already, longest due first.

        Of those that share an ordering key only the first one queued is returned, and the next once that has left the
        queue or is dead. What is being recovered comes one by one. What was queued behind a packed batch waits for it:
        `before` has the installations' first ones, `known_packed_batch` is the newest that is known.
        """

    def unopened(self, packed_batches: Collection[int]) -> tuple[int, ...]:
        """Return those of some packed batches that nobody has opened yet, in their order."""
