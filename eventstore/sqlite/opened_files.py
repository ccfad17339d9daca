"""The files that an open database consists of: whether they are still those that were opened."""

import os
from pathlib import Path

__all__ = ["OpenedFiles", "loss_text"]


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


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino  # noqa: PTH116 - with each commit, and a Path takes twice as long
    except OSError:
        return 0


def loss_text(path: str) -> str:
    """Return what is to be said of a file that was lost."""
    return f"{path} was removed or replaced while it was in use, and what is committed from then on would be lost"
