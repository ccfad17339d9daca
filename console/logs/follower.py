"""Following a log: what is added to it, across rotations, with no line lost and none twice."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from console.logs.byte_source import ByteSource
from console.logs.line_cutter import LineCutter
from console.logs.log_files import LogPart, Snapshot, open_part, open_uncompressed, parts_within, take_snapshot
from console.logs.log_pieces import Piece
from console.logs.log_reader import LogReader
from console.logs.sieve import Found

__all__ = ["Follower", "end_of_lines"]

_CHUNK_BYTES = 1024 * 1024
# Older ones that nobody has compressed are nobody's any more, and each takes a descriptor.
_MOST_ROTATED = 8
# Two lines of a log differ in their times at least: files that begin with the same bytes are the same.
_COMPARED_BYTES = 4096


@dataclass(slots=True)
class _Tail:
    """A file that may still grow, and how far it was read."""

    part: LogPart
    stream: BinaryIO
    position_bytes: int = 0
    cutter: LineCutter = field(default_factory=LineCutter)

    def drain(self, reader: LogReader) -> Iterator[Found]:
        """Read what there is of it by now."""
        if os.fstat(self.stream.fileno()).st_size < self.position_bytes:  # somebody has emptied it
            yield from reader.pick(self.cutter.finish())
            self.position_bytes = 0
        self.stream.seek(self.position_bytes)
        while chunk := self.stream.read(_CHUNK_BYTES):
            self.position_bytes += len(chunk)
            yield from reader.pick(self.cutter.feed(chunk))

    def finish(self, reader: LogReader) -> Iterator[Found]:
        """Read the rest of it, half a line too, and close it."""
        yield from self.drain(reader)
        yield from reader.pick(self.cutter.finish())
        self.stream.close()


class Follower:
    """Gives the wanted lines that come after a snapshot was taken.

    A rotated file is followed too, until it is compressed: other processes of the daemon may take half a second to
    notice the rotation, and write to it until then. `wait` is called whenever there is nothing more to read for now;
    it returns when to look again, and False ends the following.
    """

    def __init__(self, path: Path, snapshot: Snapshot, reader: LogReader, wait: Callable[[], bool]) -> None:
        self._path = path
        self._reader = reader
        self._wait = wait
        self._snapshot = snapshot
        self._known = _names(snapshot)
        self._live = None if snapshot.live is None else _tail_at_its_end(snapshot.live_part, snapshot.live)
        opened = ((part, open_uncompressed(part)) for part in snapshot.rotated[-_MOST_ROTATED:])
        self._rotated = [_tail_at_its_end(part, stream) for part, stream in opened if stream is not None]

    def pieces_before(self, since: datetime | None = None) -> list[Piece]:
        """Give what to read for the lines of before: all that this follower does not give."""
        tails = {tail.part.path: tail for tail in (*self._rotated, self._live) if tail is not None}
        parts = parts_within((*self._snapshot.rotated, self._snapshot.live_part), since)
        known = ((part, tails.get(part.path)) for part in parts)
        return [
            Piece(part, tail.stream if tail else None, tail.position_bytes if tail else None)
            for part, tail in known
            if tail is not None or part.ended_at is not None
        ]

    def lines(self) -> Iterator[Found]:
        """Give the lines as they come."""
        try:
            while True:
                yield from self._drain_rotated()
                if self._live is not None:
                    yield from self._live.drain(self._reader)
                if self._has_moved():
                    yield from self._move_on()
                elif not self._wait():
                    return
        finally:
            self._close()

    def _drain_rotated(self) -> Iterator[Found]:
        for tail in self._rotated[:]:
            # Looked at before it is read: who compresses a file has made sure that nobody writes to it any more.
            if tail.part.path.exists():
                yield from tail.drain(self._reader)
            else:
                self._rotated.remove(tail)
                yield from tail.finish(self._reader)

    def _has_moved(self) -> bool:
        """Say whether another file is at the path; where there is none for now, the old one may still be written to."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return self._live is None or not os.path.samestat(found, os.fstat(self._live.stream.fileno()))

    def _move_on(self) -> Iterator[Found]:
        snapshot = take_snapshot(self._path)
        unknown = [part for part in snapshot.rotated if part.path.name not in self._known]
        before, self._known = self._live, _names(snapshot)
        self._live = None if snapshot.live is None else _Tail(snapshot.live_part, snapshot.live)
        renamed = next((part for part in unknown if before is not None and _is_same(part, before)), None)
        if before is not None and renamed is None:  # it was taken away, not rotated
            yield from before.finish(self._reader)
        for part in unknown:
            if before is not None and part is renamed:
                yield from self._go_on_with(_Tail(part, before.stream, before.position_bytes, before.cutter))
            elif (stream := open_uncompressed(part)) is not None:
                yield from self._go_on_with(_Tail(part, stream))
            else:  # begun, rotated and compressed between two looks
                yield from self._reader.read([Piece(part)])

    def _go_on_with(self, tail: _Tail) -> Iterator[Found]:
        self._rotated.append(tail)
        yield from tail.drain(self._reader)
        if len(self._rotated) > _MOST_ROTATED:
            yield from self._rotated.pop(0).finish(self._reader)

    def _close(self) -> None:
        for tail in (*self._rotated, self._live):
            if tail is not None:
                tail.stream.close()


def end_of_lines(stream: BinaryIO) -> int:
    """Give where the last whole line of a file ends, as what is after it may be being written.

    The file stands at its beginning afterwards.
    """
    end_bytes = start = stream.seek(0, os.SEEK_END)
    end_of_last = 0
    while start > 0 and not end_of_last:
        start = max(0, start - _CHUNK_BYTES)
        stream.seek(start)
        found = stream.read(min(_CHUNK_BYTES, end_bytes - start)).rfind(b"\n")
        end_of_last = start + found + 1 if found >= 0 else 0
    stream.seek(0)
    return end_of_last


def _tail_at_its_end(part: LogPart, stream: BinaryIO) -> _Tail:
    return _Tail(part, stream, end_of_lines(stream))


def _is_same(part: LogPart, tail: _Tail) -> bool:
    """Say whether a rotated file is the one that was followed; by its bytes, as it may be compressed by now."""
    rotated = open_part(part)
    if rotated is None:
        return False
    tail.stream.seek(0)
    with rotated:
        return _beginning(rotated) == _beginning(tail.stream)


def _beginning(stream: BinaryIO) -> bytes:
    beginning = b""
    for chunk in ByteSource(stream).chunks():
        beginning += chunk
        if len(beginning) >= _COMPARED_BYTES:
            break
    return beginning[:_COMPARED_BYTES]


def _names(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(part.path.name for part in snapshot.rotated)
