"""Ownership between the daemons of one process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from eventstore.common.shard import WHOLE, Shard
from eventstore.errors import DaemonRunningError

__all__ = ["MemoryHold", "MemoryOwnership"]


@dataclass(frozen=True, slots=True)
class MemoryHold:
    """All slots."""

    shard: Shard


class MemoryOwnership:
    """One lock for all slots."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Iterator[MemoryHold]:
        """Hold all slots for the block. Raises DaemonRunningError."""
        if not self._lock.acquire(blocking=False):
            raise DaemonRunningError("a daemon holds all slots already")
        try:
            yield MemoryHold(WHOLE)
        finally:
            self._lock.release()
