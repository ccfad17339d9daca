"""What a person gives as a file of lines: plain or compressed, or standard input as `-`."""

import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from eventstore.common.json_lines import EndlessInputError
from eventstore.errors import DocumentError

__all__ = ["InputFile", "opened_input"]

_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class InputFile:
    """An open file: `stream` gives what is in it, `size_bytes` is what it has on the disk (None = not known)."""

    name: str
    stream: BinaryIO
    size_bytes: int | None
    source: BinaryIO

    def done_bytes(self) -> int:
        """Return how much of the size has been read."""
        return 0 if self.size_bytes is None else self.source.tell()


@contextmanager
def opened_input(path: str) -> Iterator[InputFile]:
    """Open a file, decompressed where it is a gzip file. Raises DocumentError, also for what cannot be read later."""
    name = "standard input" if path == "-" else path
    try:
        if path == "-":
            yield _input(name, sys.stdin.buffer, None)
        else:
            with Path(path).open("rb") as file:
                yield _input(name, file, Path(path).stat().st_size or None)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DocumentError(f"{name}: not a whole gzip file: {error}") from error
    except EndlessInputError as error:
        raise DocumentError(f"{name}: {error}") from error
    except OSError as error:
        raise DocumentError(f"{name}: cannot be read: {error.strerror}") from error


def _input(name: str, source: BinaryIO, size_bytes: int | None) -> InputFile:
    buffered = source if isinstance(source, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", source))
    if buffered.peek(2)[:2] != _GZIP_MAGIC:
        return InputFile(name, buffered, size_bytes, buffered)
    return InputFile(name, cast("BinaryIO", gzip.GzipFile(fileobj=buffered, mode="rb")), size_bytes, buffered)
