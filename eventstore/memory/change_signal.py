"""A change signal between the threads of one process."""

import os
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

__all__ = ["MemoryChangeSignal", "MemoryListener"]


class MemoryListener:
    """An end that listens, by a pipe of its own: `select` waits for descriptors alone."""

    def __init__(self, signal: "MemoryChangeSignal") -> None:
        self._signal = signal
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def fileno(self) -> int:
        """Return the descriptor to wait at."""
        return self._reader

    def wake(self) -> None:
        """Wake this end."""
        with suppress(BlockingIOError):
            os.write(self._writer, b"!")

    def heard(self) -> bool:
        """Return whether there was a notice since the last time."""
        with suppress(BlockingIOError):
            return bool(os.read(self._reader, 65_536))
        return False

    def close(self) -> None:
        """Stop listening."""
        self._signal.forget(self)
        os.close(self._reader)
        os.close(self._writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()


class MemoryChangeSignal:
    """Tells each listener there is in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: list[MemoryListener] = []

    def notify(self) -> None:
        """Tell all who listen."""
        with self._lock:
            for listener in self._listeners:
                listener.wake()

    def listen(self) -> MemoryListener:
        """Begin to listen."""
        listener = MemoryListener(self)
        with self._lock:
            self._listeners.append(listener)
        return listener

    def forget(self, listener: MemoryListener) -> None:
        """Stop telling an end."""
        with self._lock:
            self._listeners.remove(listener)
