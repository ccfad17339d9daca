"""The files that an open database consists of: whether they are still those that were opened."""

import os
from pathlib import Path

__all__ = ["OpenedFiles", "WalWatch", "loss_text"]

# A WAL's header has a salt that changes whenever it is restarted (sqlite.org/fileformat2.html#the_write_ahead_log).
_HEAD_BYTES = 32


class OpenedFiles:
    """The database, its WAL and the WAL's index, of which a connection of this process is open.

    What is committed to a file that has no name any more ends with the last process that has it open; whoever opens
    the database then makes other files, and sees none of it. As long as a file is open no other has its inode.
    """

    def __init__(self, database: Path) -> None:
        paths = (str(database), f"{database}-wal", f"{database}-shm")
        self._inodes = [(path, _inode(path)) for path in paths]

    def lost(self) -> str:
        """Return the path of one that was removed or replaced, "" = all are there."""
        for path, inode in self._inodes:
            if _inode(path) != inode:
                return path
        return ""


class WalWatch:
    """Whether a WAL was cut off in its own place, which leaves its name and inode as they are.

    SQLite shortens it too, but only as it restarts it, with another head; and not below its limit, or to nothing.
    """

    def __init__(self, database: Path, limit_bytes: int) -> None:
        """`limit_bytes`: what a WAL is cut to once all of it is in the database."""
        self._path = Path(f"{database}-wal")
        self._limit_bytes = limit_bytes
        self._seen_bytes = 0
        self._seen_head = b""

    def is_cut_off(self) -> bool:
        """Return whether it ends before it did at the last look, or does not begin any more as one does.

        A commit behind the cut makes it as long as before, and leaves zeros where it began.
        """
        try:
            with self._path.open("rb", buffering=0) as file:
                head = file.read(_HEAD_BYTES)
                size_bytes = os.fstat(file.fileno()).st_size
                file.seek(0)
                if file.read(_HEAD_BYTES) != head:  # restarted within this look
                    return False
        except OSError:
            return False
        seen_bytes, seen_head = self._seen_bytes, self._seen_head
        self._seen_bytes, self._seen_head = size_bytes, head
        if not head:
            return False
        return (
            len(head) < _HEAD_BYTES
            or not any(head)
            or (head == seen_head and size_bytes < min(seen_bytes, self._limit_bytes))
        )

    def is_empty(self) -> bool:
        """Return whether the last look found nothing in it: all of it is in the database, or it is lost."""
        return not self._seen_bytes


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - with each commit, and a Path takes twice as long
    except OSError:
        return 0


def loss_text(path: str) -> str:
    """Return what is to be said of a file that was lost."""
    return f"{path} was removed or replaced while it was in use, and what is committed from then on would be lost"
