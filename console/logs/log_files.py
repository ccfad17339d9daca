"""The files of a log: where they are, which comes before which, and the lines of each."""

import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from eventstore.errors import DocumentError, HomeError

__all__ = [
    "LONGEST_BYTES",
    "LogStream",
    "find_streams",
    "is_compressed",
    "opened_log",
    "require_readable",
    "streams_within",
    "total_bytes",
]

# As console/daemon_log/log_file.py calls them; a .gz.partial is not whole yet, and the file that it is made of is still
# there.
_ROTATED = re.compile(r"(?P<ended_at>\d{8}T\d{6}\.\d{6}Z)(?:\.gz)?")
_ROTATED_TIME = "%Y%m%dT%H%M%S.%fZ"

# A rotation between two looks begins a new list. Each takes rotate_bytes of lines: many in a row do not happen.
_TRIES = 100

# A line is stamped before it waits for the file, so that it can be older than the rotation before it; and other
# processes of the daemon write to a rotated file until they notice, half a second later.
_MARGIN = timedelta(minutes=1)

# The daemon's longest lines, those with a chain of exceptions, have some tens of kilobytes.
LONGEST_BYTES = 1024 * 1024
_CHUNK_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_STANDARD_INPUT = Path("-")


class LogStream:
    """A file of a log, compressed or not, and how far it was read; it is opened when it is read first.

    A rotated file is named without `.gz`, as it is compressed some time after. `begun_at` is when the one before it was
    rotated, `ended_at` when it was itself; None = not known, or not yet. `fault` is what was wrong with the file, in a
    few words; empty = nothing. `is_followed`: it may still grow, and whoever has read it leaves it open.
    """

    def __init__(
        self,
        path: Path,
        stream: BinaryIO | None = None,
        *,
        begun_at: datetime | None = None,
        ended_at: datetime | None = None,
    ) -> None:
        self.path = path
        self.begun_at = begun_at
        self.ended_at = ended_at
        self.fault = ""
        self.is_followed = False
        self._stream = stream
        self._read: Callable[[int], bytes] | None = None
        self._rest = b""

    @property
    def inode(self) -> tuple[int, int] | None:
        """Return which file is open, whatever it is called by now; None = none is."""
        if self._stream is None:
            return None
        status = os.fstat(self._stream.fileno())
        return status.st_dev, status.st_ino

    def open_uncompressed(self) -> bool:
        """Open it, if it is not open yet; False where it is compressed by now, or gone."""
        if self._stream is None:
            self._stream = _open(self.path)
        return self._stream is not None

    def size_bytes(self) -> int | None:
        """Return how many bytes there are to read, compressed ones as they are; None where nobody knows."""
        if self.path == _STANDARD_INPUT:
            return None
        for path in (self.path, self.path.with_name(self.path.name + ".gz")):
            with suppress(OSError):
                return path.stat().st_size
        return 0

    def lines(self, advance: Callable[[int], None] | None = None) -> Iterator[bytes]:
        """Yield the whole lines that there are by now, without their line feeds; asked again, those that were added.

        Raises nothing but what stops a program. `advance` is told of the bytes of the file as it is on disk.
        """
        for chunk in self._chunks(advance or (lambda _count: None)):
            whole, line_feed, rest = chunk.rpartition(b"\n")
            if line_feed:
                yield from (self._rest + whole).split(b"\n")
                self._rest = rest
            else:
                self._rest = (self._rest + rest)[:LONGEST_BYTES]  # a line that never ends takes no memory

    def finish(self) -> Iterator[bytes]:
        """Yield the line at the end that has no line feed, if there is one, and close the file."""
        if self._rest:
            yield self._rest
        self.close()

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._stream is not None and self.path != _STANDARD_INPUT:
            self._stream.close()
        self._stream = self._read = None
        self._rest = b""

    def _chunks(self, advance: Callable[[int], None]) -> Iterator[bytes]:
        try:
            # In this order: the compressed one is there before the other goes.
            if not self.open_uncompressed():
                self._stream = _open(self.path.with_name(self.path.name + ".gz"))
            if self._stream is None:  # only the newest files are kept
                self.fault = "it is gone by now"
                return
            stream = self._stream
            if self._read is None:
                self._read = _reading(stream)
            is_file = self.path != _STANDARD_INPUT
            if is_file and os.fstat(stream.fileno()).st_size < stream.tell():  # somebody has emptied it
                stream.seek(0)
                self._rest = b""
            before_bytes = stream.tell() if is_file else 0
            while chunk := self._read(_CHUNK_BYTES):
                if is_file:
                    advance(stream.tell() - before_bytes)
                    before_bytes = stream.tell()
                yield chunk
        except EOFError:
            self.fault = "the compressed file ends too early"
        except (gzip.BadGzipFile, zlib.error):
            self.fault = "the compressed file is damaged"
        except OSError as error:
            self.fault = f"it cannot be read further ({error.strerror or error})"


def find_streams(path: Path) -> list[LogStream]:
    """Find the files of a log, the oldest first, while it may be rotated: each line is in one of them, and in one only.

    The one that is written to is the last, and open, if there is one: whatever is renamed meanwhile. Raises HomeError
    when they cannot be read.
    """
    try:
        for _ in range(_TRIES):
            live = LogStream(path, _open(path))
            rotated = list(_rotated(path))
            # Listed while the file that was opened was still the live one: so it is not among the rotated ones.
            if live.inode == _inode_at(path):
                live.begun_at = rotated[-1].ended_at if rotated else None
                return [*rotated, live] if live.inode else rotated
            live.close()
    except OSError as error:
        raise HomeError(f"the log {path} cannot be read ({error.strerror})") from error
    raise HomeError(f"the log {path} is rotated faster than it can be listed")


@contextmanager
def opened_log(
    log: Path, files: Sequence[Path], *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[list[LogStream]]:
    """Find the files that may hold lines of a span of time: those named, or else those of a log.

    Raises DocumentError when one that is named cannot be read, HomeError when the log cannot.
    """
    for path in files:
        require_readable(path)
    named = [LogStream(path, _standard_input() if path == _STANDARD_INPUT else None) for path in files]
    streams = named or find_streams(log)
    try:
        yield streams_within(streams, since, until)
    finally:
        for stream in streams:
            stream.close()


def streams_within(
    streams: Sequence[LogStream], since: datetime | None = None, until: datetime | None = None
) -> list[LogStream]:
    """Leave out the files that were ended before a moment, or begun after another."""
    return [
        stream
        for stream in streams
        if not (since and stream.ended_at and stream.ended_at + _MARGIN < since)
        and not (until and stream.begun_at and stream.begun_at - _MARGIN > until)
    ]


def require_readable(path: Path) -> None:
    """Raise DocumentError when a file that a person named cannot be read."""
    try:
        if path != _STANDARD_INPUT:
            path.open("rb").close()
    except OSError as error:
        raise DocumentError(f"{path} cannot be read ({error.strerror})") from error


def total_bytes(streams: Sequence[LogStream]) -> int | None:
    """Return how many bytes there are to read; None where nobody knows."""
    sizes = [stream.size_bytes() for stream in streams]
    return None if None in sizes else sum(size or 0 for size in sizes)


def is_compressed(path: Path) -> bool:
    """Return whether a file is compressed."""
    with path.open("rb") as stream:
        return stream.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC


def _standard_input() -> BinaryIO:
    buffer = sys.stdin.buffer
    return buffer if isinstance(buffer, io.BufferedReader) else io.BufferedReader(buffer)  # type: ignore[type-var]


def _reading(stream: BinaryIO) -> Callable[[int], bytes]:
    # read1: with read() an error would take along the bytes that were read before it.
    if stream.peek(2)[:2] == _GZIP_MAGIC:  # type: ignore[attr-defined] # what is opened for reading is buffered
        return gzip.GzipFile(fileobj=stream, mode="rb").read1
    read: Callable[[int], bytes] = stream.read1  # type: ignore[attr-defined]
    return read


def _rotated(path: Path) -> Iterator[LogStream]:
    ends: dict[str, datetime] = {}
    with suppress(FileNotFoundError):  # no folder, no files
        for entry in os.scandir(path.parent):
            found = _ROTATED.fullmatch(entry.name.removeprefix(path.name + "."))
            if found is not None and entry.name.startswith(path.name + "."):
                with suppress(ValueError):  # digits that are not a time: not one of ours
                    ends[found["ended_at"]] = datetime.strptime(found["ended_at"], _ROTATED_TIME).replace(tzinfo=UTC)
    begun_at = None
    for text, ended_at in sorted(ends.items()):
        yield LogStream(path.with_name(f"{path.name}.{text}"), begun_at=begun_at, ended_at=ended_at)
        begun_at = ended_at


def _inode_at(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _open(path: Path) -> BinaryIO | None:
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):  # some have no end: /dev/zero, /dev/full
            raise HomeError(f"the log {path} cannot be read (it is a device): name a file")
        return path.open("rb")
    except FileNotFoundError:
        return None
