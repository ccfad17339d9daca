"""The writer lock: writers of all processes wait in a line, where SQLite would have them sleep and try."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import WeakSet

from eventstore.common.shortage import raise_shortage
from eventstore.errors import DatabaseError
from eventstore.sqlite.database import BUSY_S

__all__ = ["WriterLock"]

# As long as SQLite itself waits for another's commit.
_PATIENCE_S = BUSY_S
# A commit of single deliveries or outcomes is over by then; a batch of hundreds is not. An import may take minutes.
_LONG_S = 0.005
_LONGEST_REST_S = 0.1
# Most have it for a millisecond or two: looks cost less than a thread that waits, and are the sooner there the closer.
_PAUSES_S = (0.0003,) * 10 + (0.0005,) * 10 + (0.001,) * 5


class WriterLock:
    """A lock on a file beside the database, for one thread at a time.

    It only decides who is next: what keeps the database whole is SQLite's own lock, which is taken inside this one.
    SQLite alone has a waiting writer sleep up to 100 ms between two tries, and under steady load one that sleeps finds
    it taken for seconds, while the one that writes goes on and on. The kernel wakes whoever waits for this one at once,
    and takes it from a process that has ended. Who has had to wait for it, and then had it for long, lets the others
    come for as long: a producer of large batches leaves as much time to those of single deliveries.
    """

    def __init__(self, database: Path, *, wait_forever: bool = False) -> None:
        """`wait_forever`: waits for as long as it takes, and without a thread between the lock and who has it."""
        self._path = database.with_name(f"{database.name}-turn")
        self._wait_forever = wait_forever
        self._rests_until_s = 0.0
        self._descriptor = self._open()
        _opened.add(self)

    @contextmanager
    def taken(self, patience_s: float | None = None) -> Iterator[None]:
        """Hold the lock within the block. Raises DatabaseError when it does not come so soon, unless it is patient."""
        self._rest()
        is_wanted = not self._take_if_free()
        if is_wanted:
            self._wait(_PATIENCE_S if patience_s is None else patience_s)
        taken_s = time.monotonic()
        try:
            yield
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            had_s = time.monotonic() - taken_s
            if is_wanted and had_s > _LONG_S:
                self._rests_until_s = taken_s + had_s + min(had_s, _LONGEST_REST_S)

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise_shortage(error, f"{self._path}: not opened")
            raise DatabaseError(f"{self._path}: cannot be opened ({error.strerror})") from error

    def _rest(self) -> None:
        left_s = self._rests_until_s - time.monotonic()
        if left_s > 0:
            time.sleep(left_s)

    def _take_if_free(self) -> bool:
        """Take it if nobody has it."""
        if self._descriptor < 0:
            self._descriptor = self._open()
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _wait(self, patience_s: float) -> None:
        if self._wait_forever:
            # With a thread in between all would wait for two threads of a process whose interpreter is busy.
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            return
        for pause_s in _PAUSES_S:
            time.sleep(pause_s)
            if self._take_if_free():
                return
        # The kernel's wait has no limit, so it is a thread's that can be left behind.
        is_taken, has_come = False, threading.Event()
        threading.Thread(target=_wait, args=(self._descriptor, has_come), name="write-turn", daemon=True).start()
        try:
            is_taken = has_come.wait(max(0.0, patience_s - sum(_PAUSES_S)))
        finally:
            if not is_taken:
                self.close()  # with the file the wait's lock goes too, when it comes after all
        if not is_taken:
            raise DatabaseError(f"{self._path}: another process has been writing for too long: try again")


def _wait(descriptor: int, has_come: threading.Event) -> None:
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        has_come.set()


_opened: "WeakSet[WriterLock]" = WeakSet()


def _close_inherited() -> None:
    # A child shares the lock itself with its parent: one that was forked while it is held would hold it on.
    for lock in tuple(_opened):
        lock.close()


os.register_at_fork(after_in_child=_close_inherited)
