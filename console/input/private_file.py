"""Files that only their owner may read, whole or not there at all."""

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from eventstore.errors import RejectedError
from eventstore.home.folder import Home

__all__ = ["new_private_file"]


@contextmanager
def new_private_file(home: Home, path: Path, *, is_forced: bool) -> Iterator[BinaryIO]:
    """Lend a file to write to; once the block has ended it stands at `path`, fsynced, with mode 0600.

    When the block raises, nothing has changed. `is_forced` puts it in the place of a regular file. Raises
    RejectedError when there is one otherwise, when it is the home's own, or when it cannot be written.
    """
    home.refuse_own(path)
    try:
        _require_place(path, is_forced=is_forced)
        # A new file: the mode of one that is replaced may let others read.
        descriptor, partial = _open_new(path)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
                if partial is None:
                    partial = _name(file.fileno(), path)
            _put_in_place(partial, path, is_forced=is_forced)
        finally:
            if partial is not None:
                with suppress(FileNotFoundError):
                    partial.unlink()
    except FileExistsError as error:
        raise RejectedError(f"{path} already exists: name another file, or add --force") from error
    except OSError as error:
        raise RejectedError(f"{path}: cannot be written: {error.strerror}") from error


def _open_new(path: Path) -> tuple[int, Path | None]:
    """Open a file without a name, which ends with the process, however that ends; with one where that can't be."""
    try:
        return os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600), None
    except OSError:  # a file system without such files (open(2)); what else is wrong comes up again
        partial = _partial(path)
        return os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), partial


def _name(descriptor: int, path: Path) -> Path:
    """Return a whole file that has none a name in its folder."""
    partial = _partial(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # With a folder it is linkat(2), which follows the link to the file; link(2) does not.
        os.link(f"/proc/self/fd/{descriptor}", partial.name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        os.close(folder)
    return partial


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}")


def _require_place(path: Path, *, is_forced: bool) -> None:
    """Raise before the work is done, and not after it, where nothing could be written."""
    with suppress(FileNotFoundError):
        is_regular = stat.S_ISREG(path.lstat().st_mode)
        if not is_forced:
            raise FileExistsError
        if not is_regular:
            raise RejectedError(f"{path} is not a regular file, and is not replaced")


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
