"""Picking the wanted lines out of blocks of them; what is broken is counted."""

from collections.abc import Iterator

from console.logs.line_cutter import LongLine
from console.logs.line_filter import LineFilter
from console.logs.log_entry import LogEntry, read_entry

__all__ = ["Found", "Sieve"]

# A line as it stands in the file, and what it says; None = it is broken, and what there is of it is shortened.
Found = tuple[bytes, LogEntry | None]

_SHOWN_BYTES = 200


class Sieve:
    """Lets the wanted lines through. `lines` and `broken` count all that went in.

    Broken lines are let through too where no filter is set: no filter can say that it wants one. With a filter that
    looks for bytes, the lines without them are counted as broken only when they do not even look like an object.
    """

    def __init__(self, wanted: LineFilter | None = None) -> None:
        self.lines = 0
        self.broken = 0
        self._wanted = wanted or LineFilter()
        self._is_open = self._wanted.is_open
        self._needles = self._wanted.needles()

    def pick(self, block: bytes | LongLine) -> Iterator[Found]:
        """Give the wanted lines of a block, in order."""
        if isinstance(block, LongLine):
            self.lines += 1
            yield from self._broken(block.head, block.length_bytes)
        elif not self._needles:
            yield from self._each(block.split(b"\n"))
        elif line_count := _count_whole(block):
            yield from self._around_needles(block, line_count)
        else:
            yield from self._with_needles(block.split(b"\n"))

    def _each(self, lines: list[bytes]) -> Iterator[Found]:
        is_open, wants = self._is_open, self._wanted.wants
        for line in lines:
            if not line or line.isspace():
                continue
            self.lines += 1
            entry = read_entry(line)
            if entry is None:
                yield from self._broken(line, len(line))
            elif is_open or wants(entry):
                yield line, entry

    def _with_needles(self, lines: list[bytes]) -> Iterator[Found]:
        for line in lines:
            stripped = line.strip()
            if any(needle in line for needle in self._needles):
                yield from self._each([line])
            elif stripped:
                self.lines += 1
                self.broken += not (stripped.startswith(b"{") and stripped.endswith(b"}"))

    def _around_needles(self, block: bytes, line_count: int) -> Iterator[Found]:
        """Look at those lines only that have a needle, without cutting the block into all of its lines."""
        starts = {start for needle in self._needles for start in _lines_with(block, needle)}
        self.lines += line_count - len(starts)
        for start in sorted(starts):
            yield from self._each([block[start : block.index(b"\n", start)]])

    def _broken(self, line: bytes, length_bytes: int) -> Iterator[Found]:
        self.broken += 1
        if self._is_open:
            is_long = length_bytes > _SHOWN_BYTES
            yield (line[:_SHOWN_BYTES] + b" ... (%d bytes)" % length_bytes if is_long else line), None


def _count_whole(block: bytes) -> int:
    """Count the lines of a block in which each begins and ends as an object does; 0 = not all of them do."""
    line_count = block.count(b"\n")
    is_whole = block.startswith(b"{") and block.endswith(b"}\n") and block.count(b"}\n{") == line_count - 1
    return line_count if is_whole else 0


def _lines_with(block: bytes, needle: bytes) -> Iterator[int]:
    """Give where the lines begin in which a needle is."""
    found = block.find(needle)
    while found >= 0:
        yield block.rfind(b"\n", 0, found) + 1
        found = block.find(needle, block.index(b"\n", found))
