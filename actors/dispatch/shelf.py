"""The parcels that are not opened yet: whom their deliveries are to, and which are to be opened next."""

from collections.abc import Collection, Mapping
from itertools import islice

__all__ = ["Shelf"]

# So many are opened in one commit at most, for outcomes and producers wait for it.
_OPENED_AT_ONCE = 4
# What was asked for and has not come by then was lost with whoever was asked.
_ASK_AGAIN_S = 5.0


class Shelf:
    """A worker's view of the parcels, each named by the sequence number of its first delivery.

    Another worker may open one at any time, as it holds deliveries of its own: that is noticed when this one wants it.
    """

    def __init__(self) -> None:
        self.newest = 0
        self._counts_of: dict[int, Mapping[str, int]] = {}
        self._parcels_of: dict[str, list[int]] = {}
        self._wanted: dict[int, None] = {}
        self._asked: dict[int, None] = {}
        self._asked_s = 0.0

    @property
    def asked_count(self) -> int:
        """How many are being opened."""
        return len(self._asked)

    def put(self, parcel: int, counts: Mapping[str, int]) -> None:
        """Note a parcel that is newer than all before it, and how many deliveries to each installation it holds."""
        self.newest = parcel
        if counts:
            self._counts_of[parcel] = counts
        for installation_id in counts:
            self._parcels_of.setdefault(installation_id, []).append(parcel)

    def installations(self) -> Collection[str]:
        """Name those that parcels were put here for, and perhaps some whose last one was opened."""
        return self._parcels_of.keys()

    def first_of(self, installation_id: str) -> int | None:
        """Give the first parcel with deliveries to an installation, None = there is none."""
        parcels = self._parcels_of.get(installation_id, [])
        while parcels and parcels[0] not in self._counts_of:
            parcels.pop(0)
        if parcels:
            return parcels[0]
        self._parcels_of.pop(installation_id, None)
        return None

    def want(self, installation_id: str, deliveries: int) -> None:
        """Have the first parcels of an installation opened when their turn comes, until so many are there for it."""
        for parcel in self._parcels_of.get(installation_id, ()):
            if deliveries <= 0:
                return
            counts = self._counts_of.get(parcel)
            if counts is not None:
                deliveries -= counts[installation_id]
                if parcel not in self._asked:
                    self._wanted[parcel] = None

    def next_to_open(self, now_s: float) -> list[int]:
        """Take those whose turn has come: some at a time, and no more before those are there."""
        if self._asked and self._asked_s > now_s - _ASK_AGAIN_S:
            return []
        self._wanted = self._asked | self._wanted
        self._asked = dict.fromkeys(islice(self._wanted, _OPENED_AT_ONCE))
        self._asked_s = now_s
        for parcel in self._asked:
            del self._wanted[parcel]
        return list(self._asked)

    def opened(self, parcel: int) -> Mapping[str, int]:
        """Take a parcel off that was opened, and give how many deliveries to each installation it held."""
        self._asked.pop(parcel, None)
        self._wanted.pop(parcel, None)
        return self._counts_of.pop(parcel, {})
