"""A share of the installations: the slots that one process looks after. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

__all__ = ["SLOTS", "WHOLE", "Shard", "slot_of"]

# Installations are shared out by slots, so that who looks after one can change without counting again. As many as there
# may be processes (`[daemon] processes`), as one without a slot has nothing to do.
SLOTS = 64


def slot_of(installation_id: str) -> int:
    """Return an installation's slot, which is the same in every process, on every machine and after every start."""
    return crc32(installation_id.encode()) % SLOTS


@dataclass(frozen=True, slots=True)
class Shard:
    """The slots that are one process's own; who has slot 0 is the lead."""

    slots: frozenset[int]

    def __post_init__(self) -> None:
        if not self.slots or not all(0 <= slot < SLOTS for slot in self.slots):
            raise ValueError(f"a share has some of the slots 0 to {SLOTS - 1}, not {sorted(self.slots)}")

    @property
    def is_lead(self) -> bool:
        """Return whether its process also does what is to be done once: mails, test deliveries, keeping house."""
        return 0 in self.slots

    def owns(self, installation_id: str) -> bool:
        """Return whether an installation is one of the share's."""
        return len(self.slots) == SLOTS or slot_of(installation_id) in self.slots

    def of(self, installation_ids: Iterable[str]) -> tuple[str, ...]:
        """Return those of the installations that are the share's."""
        return tuple(one for one in installation_ids if self.owns(one))

    def part_of(self, limit: int) -> int:
        """Return the share's part of a limit that is everybody's; at least 1. Of all slots together it is the limit."""
        return max(1, sum((slot + 1) * limit // SLOTS - slot * limit // SLOTS for slot in self.slots))

    def shared_out(self, count: int) -> tuple["Shard", ...]:
        """Share the slots out to so many processes, of which the first gets the lowest.

        Raises ValueError where there are fewer slots than processes.
        """
        own = sorted(self.slots)
        if not 1 <= count <= len(own):
            raise ValueError(f"{len(own)} slots cannot be shared out to {count} processes")
        bounds = [number * len(own) // count for number in range(count + 1)]
        return tuple(Shard(frozenset(own[start:end])) for start, end in pairwise(bounds))


WHOLE = Shard(frozenset(range(SLOTS)))
