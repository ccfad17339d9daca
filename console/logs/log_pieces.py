"""The files that are to be read, in order: those of a home's log, or those that a person named."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from console.logs.log_files import LogPart, Snapshot, open_part, parts_within, take_snapshot
from eventstore.errors import DocumentError

__all__ = ["Piece", "opened_pieces", "pieces_of_log", "require_readable", "total_bytes"]

_STANDARD_INPUT = Path("-")


@dataclass(frozen=True, slots=True)
class Piece:
    """A file that is to be read: a part of a log, which may be gone by then, or one that is open already."""

    part: LogPart
    stream: BinaryIO | None = None
    end_bytes: int | None = None

    @contextmanager
    def opened(self) -> Iterator[BinaryIO | None]:
        """Open it; None = it is gone."""
        if self.stream is not None:
            yield self.stream
            return
        stream = open_part(self.part)
        try:
            yield stream
        finally:
            if stream is not None:
                stream.close()


@contextmanager
def opened_pieces(
    log: Path, files: Sequence[Path], *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[list[Piece]]:
    """Find the files that may hold lines of a span of time: those named, or else those of a log.

    Raises DocumentError when one that is named cannot be read, HomeError when the log cannot.
    """
    if files:
        for path in files:
            require_readable(path)
        yield [_piece_of_file(path) for path in files]
        return
    with take_snapshot(log) as snapshot:
        yield pieces_of_log(snapshot, since=since, until=until)


def pieces_of_log(snapshot: Snapshot, *, since: datetime | None = None, until: datetime | None = None) -> list[Piece]:
    """Give the rotated parts of a span of time, then the live file."""
    parts = parts_within((*snapshot.rotated, snapshot.live_part), since, until)
    pieces = [Piece(part) for part in parts if part is not snapshot.live_part]
    if snapshot.live is not None and snapshot.live_part in parts:
        pieces.append(Piece(snapshot.live_part, snapshot.live))
    return pieces


def require_readable(path: Path) -> None:
    """Raise DocumentError when a file that a person named cannot be read."""
    if path == _STANDARD_INPUT:
        return
    try:
        path.open("rb").close()
    except OSError as error:
        raise DocumentError(f"{path} cannot be read ({error.strerror})") from error


def total_bytes(pieces: Iterable[Piece]) -> int | None:
    """Give how many bytes there are to read, compressed ones as they are; None = nobody knows."""
    total = 0
    for piece in pieces:
        with suppress(OSError), piece.opened() as stream:
            if stream is not None and not stream.seekable():
                return None
            if stream is not None:
                total += os.fstat(stream.fileno()).st_size if piece.end_bytes is None else piece.end_bytes
    return total


def _piece_of_file(path: Path) -> Piece:
    return Piece(LogPart(path), sys.stdin.buffer if path == _STANDARD_INPUT else None)
