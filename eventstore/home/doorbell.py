"""The named pipe in a home on which producers ring, and at which its daemon waits."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from eventstore.common.lazy_log import LazyLog
from eventstore.common.shortage import raise_shortage
from eventstore.errors import HomeError

__all__ = ["Doorbell", "DoorbellListener"]


class DoorbellListener:
    """The daemon's end of the pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self._descriptor

    def wake(self) -> None:
        """Ring from within: with so many rings in the pipe that it is full, nobody sleeps."""
        with suppress(BlockingIOError):
            os.write(self._descriptor, b"!")

    def heard(self) -> bool:
        """Return whether it rang since the last time."""
        with suppress(BlockingIOError):
            return bool(os.read(self._descriptor, 65_536))
        return False

    def close(self) -> None:
        """Close the pipe; who rings from now on finds no daemon."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


class Doorbell:
    """A named pipe: ringing costs a write of one byte, and nothing where no daemon runs."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def notify(self) -> None:
        """Wake the daemon; where none runs, or its pipe is full, nothing is needed and nothing happens."""
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:  # no daemon: what is committed is found when one starts
            return
        try:
            with suppress(OSError):
                if stat.S_ISFIFO(os.fstat(descriptor).st_mode):  # no file grows by a byte a delivery
                    os.write(descriptor, b"!")
        finally:
            os.close(descriptor)

    def listen(self) -> DoorbellListener:
        """Make the pipe where it is missing, and open it for the daemon.

        What else is there by its name goes: a file always has something to read, and would keep the daemon awake.
        Raises HomeError where it can't.
        """
        home = f"home {self.path.parent}"
        try:
            descriptor = self._open_pipe()
            if descriptor is None:
                self._remove_foreign()
                os.mkfifo(self.path, 0o600)
                descriptor = self._open_pipe()
        except OSError as error:
            raise_shortage(error, f"{home}: {self.path.name} not opened")
            raise HomeError(
                f"{home}: {self.path.name} cannot be made ({error.strerror}): it is to be a named pipe,"
                " and whatever else is there has to go"
            ) from error
        if descriptor is None:
            raise HomeError(f"{home}: {self.path.name} is not a named pipe, and was put there just now")
        return DoorbellListener(descriptor)

    def _open_pipe(self) -> int | None:
        """Open the pipe, made where it is missing; None = something else is there, or nobody may open it."""
        with suppress(FileExistsError):
            os.mkfifo(self.path, 0o600)
        if not stat.S_ISFIFO(self.path.lstat().st_mode):
            return None
        try:
            # Read and write: with a writer of its own the daemon never sees an end of file.
            return os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except PermissionError:
            return None

    def _remove_foreign(self) -> None:
        if stat.S_ISDIR(self.path.lstat().st_mode):
            self.path.rmdir()  # one that holds something is not ours to empty
        else:
            self.path.unlink()
        log = LazyLog("hookfuse.home")
        log.warning(
            "doorbell_replaced", path=str(self.path), done="it was not a named pipe of ours; a new one was created"
        )
