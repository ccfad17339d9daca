"""Reading the files of a log one after the other: all their wanted lines, or the last ones."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

from console.logs.line_filter import LineFilter
from console.logs.log_entry import LogEntry, read_entry
from console.logs.log_files import LONGEST_BYTES, LogStream

__all__ = ["Found", "LogReader"]

# A line as it stands in the file, and what it says; None = it is broken, and what there is of it is shortened.
Found = tuple[bytes, LogEntry | None]

_SHOWN_BYTES = 200


class LogReader:
    """Reads files and keeps account of what was read; broken lines are let through only where no filter is set.

    `lines` and `broken` count all that were read, `bytes` are theirs, decompressed; `faults` are lines for a person,
    one for each file that was damaged or gone.
    """

    def __init__(self, wanted: LineFilter | None = None, advance: Callable[[int], None] | None = None) -> None:
        self.lines = 0
        self.broken = 0
        self.bytes = 0
        self.faults: list[str] = []
        self._wanted = wanted or LineFilter()
        self._is_open = self._wanted == LineFilter()
        self._advance = advance

    def read(self, streams: Iterable[LogStream]) -> Generator[Found]:
        """Yield the wanted lines, in order; each file that is not followed is closed behind them."""
        for stream in streams:
            yield from self.go_on(stream)
            if not stream.is_followed:
                yield from self.finish(stream)

    def read_last(self, streams: Sequence[LogStream], count: int) -> list[Found]:
        """Return the last `count` wanted lines, in order; files before them are read only where they are followed."""
        found: deque[Found] = deque()
        for stream in reversed(streams):
            if len(found) < count or stream.is_followed:
                last = deque(self.read([stream]), maxlen=count - len(found))
                found.extendleft(reversed(last))
        return list(found)

    def go_on(self, stream: LogStream) -> Iterator[Found]:
        """Yield the wanted lines that a file has by now, and leave it open."""
        yield from self._pick(stream.lines(self._advance))
        if stream.fault:
            self.faults.append(f"{stream.path.name}: {stream.fault}")

    def finish(self, stream: LogStream) -> Iterator[Found]:
        """Yield the line without a line feed at the end of a file, and close it."""
        yield from self._pick(stream.finish(), line_feeds=0)

    def _pick(self, lines: Iterable[bytes], line_feeds: int = 1) -> Iterator[Found]:
        is_open, wants = self._is_open, self._wanted.wants
        for line in lines:
            self.bytes += len(line) + line_feeds
            if not line or line.isspace():
                continue
            self.lines += 1
            entry = read_entry(line) if len(line) < LONGEST_BYTES else None
            if entry is None:
                self.broken += 1
                if is_open:
                    yield (line if len(line) <= _SHOWN_BYTES else line[:_SHOWN_BYTES] + b" ..."), None
            elif is_open or wants(entry):
                yield line, entry
