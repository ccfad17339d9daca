"""Following a log: what is added to it, across rotations, with no line lost and none twice."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from console.logs.byte_source import ByteSource
from console.logs.line_cutter import LineCutter
from console.logs.log_files import LogPart, Snapshot, open_part, take_snapshot
from console.logs.log_pieces import Piece
from console.logs.log_reader import LogReader
from console.logs.sieve import Found

__all__ = ["Follower", "end_of_lines"]

_CHUNK_BYTES = 1024 * 1024
# Two lines of a log differ in their times at least: files that begin with the same bytes are the same.
_COMPARED_BYTES = 4096


class Follower:
    """Gives the wanted lines that come after a snapshot's live file was read up to `position_bytes`.

    `wait` is called whenever there is nothing more to read for now; it returns when to look again, and False ends
    the following.
    """

    def __init__(
        self, path: Path, snapshot: Snapshot, reader: LogReader, wait: Callable[[], bool], *, position_bytes: int = 0
    ) -> None:
        self._path = path
        self._reader = reader
        self._wait = wait
        self._live = snapshot.live
        self._position_bytes = position_bytes
        self._cutter = LineCutter()
        self._known = _names(snapshot)

    def lines(self) -> Iterator[Found]:
        """Give the lines as they come."""
        try:
            while True:
                yield from self._drain()
                if self._has_moved():
                    yield from self._move_on()
                elif not self._wait():
                    return
        finally:
            self._close()

    def _drain(self) -> Iterator[Found]:
        """Read what there is of the live file."""
        live = self._live
        if live is None:
            return
        if os.fstat(live.fileno()).st_size < self._position_bytes:  # somebody has emptied it
            yield from self._reader.pick(self._cutter.finish())
            self._position_bytes = 0
        live.seek(self._position_bytes)
        while chunk := live.read(_CHUNK_BYTES):
            self._position_bytes += len(chunk)
            yield from self._reader.pick(self._cutter.feed(chunk))

    def _has_moved(self) -> bool:
        """Say whether another file is at the path; where there is none for now, the old one may still be written to."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return False
        return self._live is None or not os.path.samestat(found, os.fstat(self._live.fileno()))

    def _move_on(self) -> Iterator[Found]:
        # The new file is there, so nothing more comes to the old one: what came since the last look is the rest of it.
        yield from self._drain()
        yield from self._reader.pick(self._cutter.finish())
        snapshot = take_snapshot(self._path)
        unknown = [part for part in snapshot.rotated if part.path.name not in self._known]
        read_already = next((part for part in unknown if self._was_live(part)), None)
        self._close()
        self._live, self._position_bytes, self._known = snapshot.live, 0, _names(snapshot)
        yield from self._reader.read(Piece(part) for part in unknown if part is not read_already)

    def _was_live(self, part: LogPart) -> bool:
        """Say whether a rotated file is the one that was followed; by its bytes, as it may be compressed by now."""
        rotated = None if self._live is None else open_part(part)
        if rotated is None or self._live is None:
            return False
        self._live.seek(0)
        with rotated:
            return _beginning(rotated) == _beginning(self._live)

    def _close(self) -> None:
        if self._live is not None:
            self._live.close()
            self._live = None


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


def _beginning(stream: BinaryIO) -> bytes:
    beginning = b""
    for chunk in ByteSource(stream).chunks():
        beginning += chunk
        if len(beginning) >= _COMPARED_BYTES:
            break
    return beginning[:_COMPARED_BYTES]


def _names(snapshot: Snapshot) -> frozenset[str]:
    return frozenset(part.path.name for part in snapshot.rotated)
