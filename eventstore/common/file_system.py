"""What a file system allows: told apart where the kernel's own word would mislead."""

import errno
import os
from pathlib import Path

__all__ = ["READ_ONLY", "is_read_only", "refusal"]

READ_ONLY = "the file system is read-only: mount it for writing, or name a home on another one"


def is_read_only(path: Path) -> bool:
    """Return whether the file system of a path, or of the nearest folder above it that is there, is read-only."""
    for place in (path, *path.absolute().parents):
        try:
            return bool(os.statvfs(place).f_flag & os.ST_RDONLY)
        except OSError:
            continue
    return False


def refusal(path: Path) -> OSError:
    """Return the error of a folder that cannot be written to."""
    # access() says EACCES for both (access(2)).
    code = errno.EROFS if is_read_only(path) else errno.EACCES
    return OSError(code, os.strerror(code))
