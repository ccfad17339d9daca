"""Files of JSON lines, read within bounds, and what is wrong in them by line."""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

__all__ = ["Fault", "Faults", "read_lines"]

# As many as a person reads.
_KEPT_FAULTS = 50


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong, and where: `number` gives the order, `place` names it, such as "line 7"."""

    number: int
    place: str
    text: str


class Faults:
    """The first faults of a file, in the order of their places, and how many there are."""

    def __init__(self, kept: int = _KEPT_FAULTS) -> None:
        self._kept = kept
        self._first: list[Fault] = []
        self.count = 0

    @property
    def first(self) -> tuple[Fault, ...]:
        """The first ones."""
        return tuple(self._first)

    def add(self, number: int, text: str, place: str = "") -> None:
        """Note a fault, of a line where no other place is named."""
        self.count += 1
        insort(self._first, Fault(number, place or f"line {number}", text))
        del self._first[self._kept :]


def read_lines(stream: BinaryIO, limit_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    """Give number and bytes of each line that is not blank; None = it is longer than the limit, and is not read."""
    number = 0
    while line := stream.readline(limit_bytes + 1):
        number += 1
        if len(line) > limit_bytes:
            _skip_rest(stream, line, limit_bytes)
            yield number, None
        elif not line.isspace():
            yield number, line


def _skip_rest(stream: BinaryIO, line: bytes, limit_bytes: int) -> None:
    while line and not line.endswith(b"\n"):
        line = stream.readline(limit_bytes)
