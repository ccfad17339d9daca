"""What a receiver has been sent: a file in shared memory that it writes and the harness reads meanwhile."""

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Arrival", "ArrivalsReader", "ArrivalsWriter"]

_HEADER = struct.Struct("<Q")
_HEADER_BYTES = 64
_RECORD = struct.Struct("<ddQII")


class Arrival(NamedTuple):
    """A request as it was read whole; `status` 0 = it was not answered."""

    at_s: float
    queued_s: float
    number: int
    path_number: int
    status: int

    @property
    def latency_s(self) -> float:
        """From the moment at which it was to be queued to its receipt."""
        return self.at_s - self.queued_s


class ArrivalsWriter:
    """The receiver's side. What is over the capacity is counted and not kept."""

    def __init__(self, path: Path, capacity: int) -> None:
        with path.open("wb") as file:
            file.truncate(_HEADER_BYTES + capacity * _RECORD.size)
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 0)
        self._capacity = capacity
        self._count = 0

    def add(self, at_s: float, queued_s: float, number: int, path_number: int, status: int) -> None:
        """Note one request, then that there is one more, so that a reader never sees half of it."""
        if self._count < self._capacity:
            offset = _HEADER_BYTES + self._count * _RECORD.size
            _RECORD.pack_into(self._memory, offset, at_s, queued_s, number, path_number, status)
        self._count += 1
        _HEADER.pack_into(self._memory, 0, self._count)


class ArrivalsReader:
    """The harness's side."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        self._capacity = (len(self._memory) - _HEADER_BYTES) // _RECORD.size

    @property
    def count(self) -> int:
        """Return how many requests there were so far."""
        (count,) = _HEADER.unpack_from(self._memory, 0)
        return int(count)

    def read(self, first: int = 0) -> Iterator[Arrival]:
        """Read the requests so far, from the one with an index on, in the order of their arrival."""
        count = self.count
        if count > self._capacity:
            raise OverflowError(f"{count} requests have come, and there is room for {self._capacity}")
        for index in range(first, count):
            yield Arrival(*_RECORD.unpack_from(self._memory, _HEADER_BYTES + index * _RECORD.size))
