"""Standard error behind a bounded queue: whoever says something to a person never waits for who does not read."""

import atexit
import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable

from eventstore.common.plural import grouped

__all__ = ["QueuedStream", "queue_standard_error"]

# What waits for a reader at most. A pipe of the kernel's holds 64 kB beside it, a terminal that is stopped less.
_QUEUE_BYTES = 64 * 1024
# How long an end waits for what is still queued: long enough for a reader that is only slow.
_CLOSE_S = 1.0


class QueuedStream(io.RawIOBase):
    """Takes lines at once, and has a thread of its own write them to a descriptor.

    A line that finds the queue full is dropped and counted in `dropped_lines`; once the descriptor takes lines again, a
    line says how many were, and `on_dropped` is told the number. Where nobody can read any more (a pipe whose reader
    has ended) all are dropped. Any thread may write; the descriptor stays the caller's.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        queue_bytes: int = _QUEUE_BYTES,
        on_dropped: Callable[[int], object] = lambda _count: None,
    ) -> None:
        super().__init__()
        self.dropped_lines = 0
        self.on_dropped = on_dropped
        self._descriptor = descriptor
        self._queue_bytes = queue_bytes
        self._changed = threading.Condition()
        self._lines: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._partial = b""
        self._unsaid_lines = 0
        self._is_writing = False
        self._thread: threading.Thread | None = None

    def writable(self) -> bool:
        """Return True: it is there to be written to."""
        return True

    def fileno(self) -> int:
        """Return the descriptor, for who has to know what it is."""
        return self._descriptor

    def isatty(self) -> bool:
        """Return whether a person looks at it."""
        return os.isatty(self._descriptor)

    def write(self, data: "bytes | bytearray | memoryview", /) -> int:  # type: ignore[override] # any buffer
        """Queue what is written, line by line, or drop it; return how many bytes were taken: all."""
        taken = bytes(data)
        with self._changed:
            *lines, self._partial = (self._partial + taken).split(b"\n")
            for line in lines:
                self._queue(line + b"\n")
        return len(taken)

    def drain(self, timeout_s: float = _CLOSE_S) -> bool:
        """Wait until all is written, but no longer than that; return whether it is; the rest counts as dropped."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            if self._partial:
                self._queue(self._partial + b"\n")
                self._partial = b""
            while self._lines or self._is_writing:
                if not self._changed.wait(max(0.0, deadline_s - time.monotonic())):
                    break
            left = len(self._lines)
            self._lines.clear()
            self._waiting_bytes = 0
            self.dropped_lines += left
            return not (left or self._is_writing)

    def _queue(self, line: bytes) -> None:
        # The caller holds the lock.
        if self._waiting_bytes + len(line) > self._queue_bytes or not self._has_thread():
            self.dropped_lines += 1
            self._unsaid_lines += 1
            return
        self._lines.append(line)
        self._waiting_bytes += len(line)
        self._changed.notify_all()

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._write_all, name="standard-error", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no thread to be had: tried again with the next line
                return False
            self._thread = thread
        return True

    def _write_all(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                while not self._lines:
                    self._changed.wait()
                line = self._lines.popleft()
                self._waiting_bytes -= len(line)
                self._is_writing = True
            if not self._is_written(line):
                with self._changed:
                    self.dropped_lines += 1
                    self._unsaid_lines += 1
                continue
            self._say_what_was_dropped()

    def _say_what_was_dropped(self) -> None:
        with self._changed:
            count, self._unsaid_lines = self._unsaid_lines, 0
        if not count:
            return
        lines = grouped(count, "line was", "lines were")
        notice = f"hookfuse: {lines} dropped here, as nobody read standard error; the log has what was logged\n"
        if not self._is_written(notice.encode()):
            with self._changed:
                self._unsaid_lines += count
            return
        self.on_dropped(count)

    def _is_written(self, line: bytes) -> bool:
        """Write a line, however long the reader takes; return whether there is one."""
        left = memoryview(line)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # somebody has made the descriptor one that does not wait
                select.select([], [self._descriptor], [])
            except OSError:  # nobody will ever read this, or it was closed
                return False
        return True


def queue_standard_error() -> QueuedStream | None:
    """Put a queue before standard error for the rest of the process; None = there is no descriptor behind it.

    What is still queued when the process ends is waited for, except for a second only.
    """
    try:
        descriptor = sys.stderr.fileno()
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):  # it is somebody's buffer in memory, or closed
        return None
    stream = QueuedStream(descriptor)
    # As `python -u` has it: a text stream directly before a raw one, with nothing kept in between.
    sys.stderr = io.TextIOWrapper(stream, sys.stderr.encoding, "backslashreplace", write_through=True)
    atexit.register(stream.drain)
    return stream
