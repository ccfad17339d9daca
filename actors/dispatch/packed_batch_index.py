"""The packed batches that are not opened yet: whom their deliveries are to, and which are to be opened next."""

from collections.abc import Collection, Mapping
from itertools import islice

__all__ = ["PackedBatchIndex"]

# So many are opened in one commit at most, for outcomes and producers wait for it.
_OPENED_AT_ONCE = 4
# What was asked for and has not come by then was lost with whoever was asked.
_ASK_AGAIN_S = 5.0


class PackedBatchIndex:
    """A worker's view of the packed batches, each named by the sequence number of its first delivery.

    Another worker may open one at any time, as it holds deliveries of its own: that is noticed when this one wants it.
    """

    def __init__(self) -> None:
        self._counts_of: dict[int, Mapping[str, int]] = {}
        self._packed_batches_of: dict[str, list[int]] = {}
        self._wanted: dict[int, None] = {}
        self._asked: dict[int, None] = {}
        self._asked_s = 0.0

    @property
    def asked_count(self) -> int:
        """Return how many are being opened."""
        return len(self._asked)

    def put(self, packed_batch: int, counts: Mapping[str, int]) -> None:
        """Add a packed batch newer than all before it, and how many deliveries to each installation it holds."""
        if counts:
            self._counts_of[packed_batch] = counts
        for installation_id in counts:
            self._packed_batches_of.setdefault(installation_id, []).append(packed_batch)

    def installations(self) -> Collection[str]:
        """Return those that packed batches were put here for, and perhaps some whose last one was opened."""
        return self._packed_batches_of.keys()

    def first_of(self, installation_id: str) -> int | None:
        """Return the first packed batch with deliveries to an installation, None = there is none."""
        packed_batches = self._packed_batches_of.get(installation_id, [])
        while packed_batches and packed_batches[0] not in self._counts_of:
            packed_batches.pop(0)
        if packed_batches:
            return packed_batches[0]
        self._packed_batches_of.pop(installation_id, None)
        return None

    def want(self, installation_id: str, deliveries: int) -> None:
        """Want the first packed batches of an installation opened, until so many deliveries are there for it."""
        for packed_batch in self._packed_batches_of.get(installation_id, ()):
            if deliveries <= 0:
                return
            counts = self._counts_of.get(packed_batch)
            if counts is not None:
                deliveries -= counts[installation_id]
                if packed_batch not in self._asked:
                    self._wanted[packed_batch] = None

    def next_to_open(self, now_s: float) -> list[int]:
        """Take those that are next: some at a time, and no more before those are there."""
        if self._asked and self._asked_s > now_s - _ASK_AGAIN_S:
            return []
        self._wanted = self._asked | self._wanted
        self._asked = dict.fromkeys(islice(self._wanted, _OPENED_AT_ONCE))
        self._asked_s = now_s
        for packed_batch in self._asked:
            del self._wanted[packed_batch]
        return list(self._asked)

    def opened(self, packed_batch: int) -> Mapping[str, int]:
        """Take a packed batch off that was opened, and return how many deliveries to each installation it held."""
        self._asked.pop(packed_batch, None)
        self._wanted.pop(packed_batch, None)
        return self._counts_of.pop(packed_batch, {})
