"""Which daemon looks after which installations."""

from contextlib import AbstractContextManager
from typing import Protocol

from eventstore.common.shard import Shard

__all__ = ["Hold", "Ownership"]


class Hold(Protocol):
    """What a daemon has for as long as it holds it."""

    @property
    def shard(self) -> Shard:
        """Return the slots that are its own, to be shared out to its processes (`Shard.shared_out`)."""


class Ownership(Protocol):
    """Each of the 64 slots is one daemon's at most, so that no two ever send the same delivery.

    Of a home on SQLite one daemon holds them all. Whoever has slot 0 leads: mails, test deliveries, keeping house.
    """

    def held(self) -> AbstractContextManager[Hold]:
        """Hold slots for the block; they are free again however the process ends.

        Raises DaemonRunningError where there is none to be had, HomeError where nothing can be held at all.
        """
