"""A share of the installations: which worker process looks after which of them. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

__all__ = ["WHOLE", "Shard"]


@dataclass(frozen=True, slots=True)
class Shard:
    """The share of one worker, `number` of `count`, counted from 1; the first is the lead.

    It follows from the installation's id alone, so that it is the same in every process and after every start.
    """

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ValueError(f"there is no share {self.number} of {self.count}")

    @property
    def is_lead(self) -> bool:
        """Whether its worker also does what is to be done once: mails, test deliveries, keeping house."""
        return self.number == 1

    def owns(self, installation_id: str) -> bool:
        """Say whether an installation is one of the share's."""
        return self.count == 1 or crc32(installation_id.encode()) % self.count == self.number - 1

    def of(self, installation_ids: Iterable[str]) -> tuple[str, ...]:
        """Give those of the installations that are the share's."""
        return tuple(one for one in installation_ids if self.owns(one))

    def part_of(self, limit: int) -> int:
        """Give the share's part of a limit that is the whole daemon's; at least 1."""
        whole, rest = divmod(limit, self.count)
        return max(1, whole + (self.number <= rest))


WHOLE = Shard()
