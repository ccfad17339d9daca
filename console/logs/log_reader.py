"""Reading the files of a log one after the other: all their wanted lines, or the last ones."""

import io
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from typing import BinaryIO

from console.logs.byte_source import ByteSource, is_compressed
from console.logs.line_cutter import LineCutter, LongLine
from console.logs.line_filter import LineFilter
from console.logs.log_pieces import Piece
from console.logs.sieve import Found, Sieve

__all__ = ["LogReader"]

# Where the last lines are looked for first, and by what that grows while there are too few.
_WINDOW_BYTES = 1024 * 1024
_GROWTH = 4


class LogReader:
    """Reads pieces and keeps account of what was read.

    `bytes` are those of the lines, decompressed; `faults` are lines for a person, one for each file that was
    damaged or gone. `advance` is told of the bytes of the files as they are on disk.
    """

    def __init__(self, wanted: LineFilter | None = None, advance: Callable[[int], None] | None = None) -> None:
        self.bytes = 0
        self.faults: list[str] = []
        self._wanted = wanted or LineFilter()
        self._advance = advance
        self._sieve = Sieve(self._wanted)

    @property
    def lines(self) -> int:
        """How many lines were read, the broken ones among them."""
        return self._sieve.lines

    @property
    def broken(self) -> int:
        """How many of them were broken."""
        return self._sieve.broken

    def read(self, pieces: Iterable[Piece]) -> Generator[Found]:
        """Give the wanted lines, in order."""
        for piece in pieces:
            with piece.opened() as stream:
                if stream is None:
                    self._note_gone(piece)
                else:
                    yield from self._read(piece, stream, piece.end_bytes)

    def read_last(self, pieces: Sequence[Piece], count: int) -> list[Found]:
        """Give the last `count` wanted lines, in order; what is before them is not read where that can be avoided."""
        found: deque[Found] = deque()
        for piece in reversed(pieces):
            if len(found) >= count:
                break
            with piece.opened() as stream:
                if stream is None:
                    self._note_gone(piece)
                else:
                    found.extendleft(reversed(self._last_of(piece, stream, count - len(found))))
        return list(found)

    def pick(self, blocks: Iterable[bytes | LongLine]) -> Iterator[Found]:
        """Give the wanted lines of blocks that were read elsewhere."""
        for block in blocks:
            self.bytes += len(block) if isinstance(block, bytes) else block.length_bytes
            yield from self._sieve.pick(block)

    def _read(self, piece: Piece, stream: BinaryIO, end_bytes: int | None, *, is_cut: bool = False) -> Iterator[Found]:
        source = ByteSource(stream, end_bytes=end_bytes, advance=self._advance)
        blocks = _blocks(source)
        yield from self.pick(_without_first_line(blocks) if is_cut else blocks)
        if source.fault:
            self.faults.append(f"{piece.part.path.name}: {source.fault}")

    def _last_of(self, piece: Piece, stream: BinaryIO, count: int) -> list[Found]:
        if not stream.seekable() or is_compressed(stream):
            return list(deque(self._read(piece, stream, piece.end_bytes), maxlen=count))
        end_bytes = stream.seek(0, io.SEEK_END) if piece.end_bytes is None else piece.end_bytes
        window_bytes = _WINDOW_BYTES
        while True:
            start = max(0, end_bytes - window_bytes)
            stream.seek(start)
            reader = LogReader(self._wanted, self._advance)  # with an account of its own, as a window may be too small
            lines = reader._read(piece, stream, end_bytes - start, is_cut=start > 0)
            found = list(deque(lines, maxlen=count))
            if start == 0 or len(found) == count:
                self._add(reader)
                return found
            window_bytes *= _GROWTH

    def _add(self, other: "LogReader") -> None:
        self._sieve.lines += other.lines
        self._sieve.broken += other.broken
        self.bytes += other.bytes
        self.faults += other.faults

    def _note_gone(self, piece: Piece) -> None:
        self.faults.append(f"{piece.part.path.name}: it is gone by now")


def _blocks(source: ByteSource) -> Iterator[bytes | LongLine]:
    cutter = LineCutter()
    for chunk in source.chunks():
        yield from cutter.feed(chunk)
    yield from cutter.finish()


def _without_first_line(blocks: Iterator[bytes | LongLine]) -> Iterator[bytes | LongLine]:
    """Leave out the line in whose middle a window begins."""
    first = next(blocks, b"")
    if isinstance(first, bytes) and (rest := first.partition(b"\n")[2]):
        yield rest
    yield from blocks
