"""Bytes in pieces, cut into whole lines; a line that never ends takes no memory."""

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["LineCutter", "LongLine"]

# The daemon's longest lines, those with a chain of exceptions, have some tens of kilobytes.
_LONGEST_BYTES = 1024 * 1024
_HEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line that is too long to be one of the log: how it begins, and its length."""

    head: bytes
    length_bytes: int


class LineCutter:
    """Takes pieces as they were read and gives blocks of whole lines, or a long line by itself."""

    def __init__(self) -> None:
        self._rest = b""
        self._long: LongLine | None = None

    def feed(self, data: bytes) -> Iterator[bytes | LongLine]:
        """Give what has become whole with this piece; a block ends with a line feed."""
        if self._long is not None:
            end = data.find(b"\n")
            length_bytes = self._long.length_bytes + (len(data) if end < 0 else end)
            self._long = LongLine(self._long.head, length_bytes)
            if end < 0:
                return
            yield self._long
            self._long = None
            data = data[end + 1 :]
        end = data.rfind(b"\n") + 1
        if end:
            yield self._rest + data[:end]
            self._rest = b""
        self._rest += data[end:]
        if len(self._rest) > _LONGEST_BYTES:
            self._long = LongLine(self._rest[:_HEAD_BYTES], len(self._rest))
            self._rest = b""

    def finish(self) -> Iterator[bytes | LongLine]:
        """Give the line that has no line feed, if there is one, and begin anew."""
        if self._long is not None:
            yield self._long
        elif self._rest:
            yield self._rest
        self._long = None
        self._rest = b""
