"""Files that only their owner may read, whole or not there at all."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from eventstore.errors import RejectedError

__all__ = ["new_private_file"]


@contextmanager
def new_private_file(path: Path, *, is_forced: bool) -> Iterator[BinaryIO]:
    """Lend a file to write to; once the block has ended it stands at `path`, fsynced, with mode 0600.

    When the block raises, nothing has changed. `is_forced` puts it in the place of a regular file. Raises
    RejectedError when there is one otherwise, or when it cannot be written.
    """
    try:
        _require_place(path, is_forced=is_forced)
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        # A new file: the mode of one that is replaced may let others read.
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            _put_in_place(partial, path, is_forced=is_forced)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()
    except FileExistsError as error:
        raise RejectedError(f"{path} is there already: name another file, or add --force") from error
    except OSError as error:
        raise RejectedError(f"{path}: cannot be written: {error.strerror}") from error


def _require_place(path: Path, *, is_forced: bool) -> None:
    """Say so before the work is done, not after it."""
    with suppress(FileNotFoundError):
        is_regular = stat.S_ISREG(path.lstat().st_mode)
        if not is_forced:
            raise FileExistsError
        if not is_regular:
            raise RejectedError(f"{path} is no regular file, and is not replaced")


def _put_in_place(partial: Path, path: Path, *, is_forced: bool) -> None:
    if is_forced:
        partial.replace(path)
        return
    try:
        path.hardlink_to(partial)  # unlike a rename it refuses what has come there meanwhile
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        _require_place(path, is_forced=False)
        partial.replace(path)
