"""Files of JSON lines, read within bounds, and what is wrong in them by line."""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from eventstore.errors import DocumentError

__all__ = ["BLANK_LINES_MAX", "EndlessInputError", "Fault", "Faults", "read_lines"]

# As many as a person reads.
_KEPT_FAULTS = 50
# Where a file is given up: beyond these it is something else, or has no end.
FAULTS_MAX = 100_000
BLANK_LINES_MAX = 1_000_000
LINE_BYTES_MAX = 256 * 1024 * 1024


class EndlessInputError(DocumentError):
    """A file goes on and on with what is not a line of it."""


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
        """Note a fault, of a line where no other place is named. Raises EndlessInputError when there are too many."""
        self.count += 1
        insort(self._first, Fault(number, place or f"line {number}", text))
        del self._first[self._kept :]
        if self.count > FAULTS_MAX:
            first = self._first[0]
            raise EndlessInputError(
                f"over {FAULTS_MAX:,} faults, and nothing more is read; {first.place}: {first.text}"
            )


def read_lines(stream: BinaryIO, limit_bytes: int) -> Iterator[tuple[int, bytes | None]]:
    """Return number and bytes of each line that is not blank; None = it is longer than the limit, and is not read.

    Raises EndlessInputError.
    """
    number = blank_count = 0
    while line := stream.readline(limit_bytes + 1):
        number += 1
        if len(line) > limit_bytes:
            _skip_rest(stream, line, limit_bytes, number)
            yield number, None
        elif not line.isspace():
            yield number, line
        else:
            blank_count += 1
            if blank_count > BLANK_LINES_MAX:
                raise EndlessInputError(f"over {BLANK_LINES_MAX:,} blank lines, and nothing more is read")


def _skip_rest(stream: BinaryIO, line: bytes, limit_bytes: int, number: int) -> None:
    skipped_bytes = len(line)
    while line and not line.endswith(b"\n"):
        if skipped_bytes > LINE_BYTES_MAX:
            raise EndlessInputError(f"line {number} has over {LINE_BYTES_MAX // 1024**2} MiB, and nothing more is read")
        line = stream.readline(limit_bytes)
        skipped_bytes += len(line)
