"""The bytes of one file, decompressed where it is compressed; of a damaged one, those that can be read."""

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["ByteSource", "is_compressed"]

_CHUNK_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"


class ByteSource:
    """Reads an open file from where it stands to its end, or to `end_bytes` of it.

    `fault` says afterwards what was wrong with it, in a few words; empty = nothing. `advance` is told how many bytes
    of the file itself, compressed or not, were read.
    """

    def __init__(
        self, stream: BinaryIO, *, end_bytes: int | None = None, advance: Callable[[int], None] | None = None
    ) -> None:
        self.fault = ""
        self._counting = _Counting(stream, end_bytes, advance or _ignore)

    def chunks(self) -> Iterator[bytes]:
        """Give the bytes, a piece at a time. Raises nothing but what stops a program."""
        try:
            buffered = io.BufferedReader(self._counting, _CHUNK_BYTES)
            # read1: with read() an error would take along the bytes that were read before it.
            read: Callable[[int], bytes] = buffered.read1
            if buffered.peek(2)[:2] == _GZIP_MAGIC:
                read = gzip.GzipFile(fileobj=buffered, mode="rb").read1
            while chunk := read(_CHUNK_BYTES):
                yield chunk
        except EOFError:
            self.fault = "the compressed file ends too early"
        except (gzip.BadGzipFile, zlib.error):
            self.fault = "the compressed file is damaged"
        except OSError as error:
            self.fault = f"it cannot be read on ({error.strerror or error})"


def is_compressed(stream: BinaryIO) -> bool:
    """Say whether a file that can be sought in is compressed; it stands at its beginning afterwards."""
    stream.seek(0)
    beginning = stream.read(len(_GZIP_MAGIC))
    stream.seek(0)
    return beginning == _GZIP_MAGIC


class _Counting(io.RawIOBase):
    """A file that says how much of it was read, and ends where it is told to."""

    def __init__(self, stream: BinaryIO, end_bytes: int | None, advance: Callable[[int], None]) -> None:
        self._stream = cast("io.BufferedIOBase", stream)  # every one of them can fill a buffer
        self._left_bytes = end_bytes
        self._advance = advance

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        wanted = memoryview(buffer)[: self._left_bytes]
        read_bytes = self._stream.readinto(wanted)
        if self._left_bytes is not None:
            self._left_bytes -= read_bytes
        self._advance(read_bytes)
        return read_bytes


def _ignore(_count: int) -> None:
    """Stand in for a progress bar."""
