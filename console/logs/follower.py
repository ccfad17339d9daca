"""Following a log: what is added to it, across rotations, with no line lost and none twice."""

from collections.abc import Callable, Iterator
from pathlib import Path

from console.logs.log_files import LogStream, find_streams
from console.logs.log_reader import Found, LogReader

__all__ = ["Follower"]

# Older ones that nobody has compressed are nobody's any more, and each takes a descriptor.
_MOST_FOLLOWED = 9


class Follower:
    """Yields the wanted lines that come after those of `before`, which are read by whoever has made it, or not at all.

    A rotated file is followed too, until it is compressed: other processes of the daemon may take half a second to
    notice the rotation, and write to it until then. `wait` is called whenever there is nothing more to read for now;
    it returns when to look again, and False ends the following.
    """

    def __init__(self, path: Path, reader: LogReader, wait: Callable[[], bool]) -> None:
        self._path = path
        self._reader = reader
        self._wait = wait
        self.before = find_streams(path)
        self._names = {stream.path.name for stream in self.before if stream.ended_at}
        newest = self.before[-_MOST_FOLLOWED:]
        self._followed = [stream for stream in newest if stream.open_uncompressed()]
        for stream in self._followed:
            stream.is_followed = True

    def lines(self) -> Iterator[Found]:
        """Yield the lines as they come."""
        try:
            while True:
                found = False
                # Looked at before it is read: who compresses a file has made sure that nobody writes to it any more.
                for stream, is_over in self._look():
                    for one in self._reader.go_on(stream):
                        found = True
                        yield one
                    if is_over:
                        yield from self._reader.finish(stream)
                if not found and not self._wait():
                    return
        finally:
            for stream in self._followed:
                stream.close()

    def _look(self) -> list[tuple[LogStream, bool]]:
        """Return the files to read on, the oldest first, each with whether this is the end of it."""
        known, left = self._followed, list[LogStream]()
        live = next((one for one in known if one.ended_at is None), None)
        for stream in find_streams(self._path):
            is_uncompressed = stream.open_uncompressed()
            same = next((one for one in known if is_uncompressed and one.inode == stream.inode), None)
            is_known = stream.path.name in self._names
            self._names |= {stream.path.name} if stream.ended_at else set()
            if same is not None:
                same.path, same.ended_at = stream.path, stream.ended_at
                stream.close()
            elif is_known:
                stream.close()  # it was read to its end
                continue
            elif live is not None and live.ended_at is None and stream.ended_at and not is_uncompressed:
                live.ended_at = stream.ended_at  # it was renamed and compressed between two looks
                continue
            left.append(same or stream)
        has_live = any(one.ended_at is None for one in left)
        if live is not None and live.ended_at is None and not has_live:
            left.append(live)  # where there is none for now, the old one may still be written to
        ended = [one for one in known if one not in left]
        self._followed = [one for one in left if one.open_uncompressed()][-_MOST_FOLLOWED:]
        for stream in self._followed:
            stream.is_followed = True
        return [(stream, stream not in self._followed) for stream in (*ended, *left)]
