"""The daemon's log file: lines appended, rotated by size, rotated files compressed; never a reason to stop."""

import fcntl
import gzip
import os
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

__all__ = ["LogFile"]

# Seconds between two looks whether another process has rotated the file, and how large all have made it.
_LOOK_S = 0.5
_OPENINGS = 10
_ROTATED_AT = "%Y%m%dT%H%M%S.%fZ"


class LogFile:
    """An append-only file of lines that any thread of any process may write to.

    Each line is handed to the kernel before write() returns, in one piece, so that a killed process loses none and
    no other's line comes in between. Rotated files are called NAME.TIME.gz; of them the newest `keep_files` stay.
    `complain` is told once, with a line for a person, when the file can't be written, and again after it could be in
    between.

    Whoever has a file open holds a shared lock on it until it has noticed a rotation; a rotated file is compressed,
    and then deleted, by whoever gets it alone. So no line goes to a file that is gone.
    """

    def __init__(self, path: Path, *, rotate_bytes: int, keep_files: int, complain: Callable[[str], None]) -> None:
        self.path = path
        self.lost_lines = 0
        self._rotate_bytes = rotate_bytes
        self._keep_files = keep_files
        self._complain = complain
        self._lock = threading.Lock()
        self._compressor: threading.Thread | None = None
        # A rotation during the compressor's last look must not be overlooked: both are changed under the lock.
        self._is_compressing = False
        self._is_compression_wanted = False
        self._descriptor = -1
        self._size_bytes = 0
        self._rotate_at_bytes = rotate_bytes
        self._look_at_s = 0.0
        self._is_torn = False
        self._has_complained = False
        self._is_closed = False
        with self._lock:
            self._open()
            self._compress_later()

    def write(self, line: bytes) -> None:
        """Append one line, its line feed included. A failure is counted in `lost_lines`, never raised."""
        with self._lock:
            if self._is_closed:
                return
            if time.monotonic() >= self._look_at_s:
                self._look()
            if self._size_bytes >= self._rotate_at_bytes:
                self._rotate()
            self._append(line)

    def look(self) -> None:
        """Follow a rotation by another process also while there is nothing to write."""
        with self._lock:
            if not self._is_closed:
                self._look()

    def close(self) -> None:
        """Close the file, and wait for a compression that is under way."""
        with self._lock:
            self._is_closed = True
            self._close_descriptor()
        if self._compressor is not None:
            self._compressor.join()

    def _append(self, line: bytes) -> None:
        if self._descriptor < 0:
            self._open()
        # What a full disk cut off gets a line of its own.
        data = b"\n" + line if self._is_torn else line
        try:
            written_bytes = os.write(self._descriptor, data)
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        self._size_bytes += written_bytes
        self._is_torn = written_bytes < len(data)
        if self._is_torn:
            self._lose("the disk is full")
        else:
            self._has_complained = False

    def _open(self) -> None:
        self._look_at_s = time.monotonic() + _LOOK_S
        try:
            for _ in range(_OPENINGS):  # again when it was rotated between opening and locking
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if _is_locked(self._descriptor, fcntl.LOCK_SH) and self._is_current():
                    break
                self._close_descriptor()
            self._size_bytes = os.fstat(self._descriptor).st_size
        except OSError as error:
            self._complain_once(error.strerror or str(error))

    def _look(self) -> None:
        self._look_at_s = time.monotonic() + _LOOK_S
        if self._descriptor < 0:
            return
        if self._is_current():
            self._size_bytes = os.fstat(self._descriptor).st_size
        else:
            self._begin_next()

    def _is_current(self) -> bool:
        """Return whether the file that is open is the one of that name."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _begin_next(self) -> None:
        self._rotate_at_bytes = self._rotate_bytes
        self._close_descriptor()
        self._open()
        self._compress_later()

    def _lose(self, fault: str) -> None:
        self.lost_lines += 1
        self._complain_once(fault)

    def _complain_once(self, fault: str) -> None:
        if not self._has_complained:
            self._has_complained = True
            self._complain(f"the log {self.path} cannot be written ({fault}): lines are lost, the work goes on")

    def _rotate(self) -> None:
        try:
            is_done = self._rename()
        except OSError as error:
            self._rotate_at_bytes = self._size_bytes + self._rotate_bytes  # not again with every line
            self._complain_once(f"not rotated: {error.strerror}")
            return
        if is_done:
            self._begin_next()
        else:
            self._rotate_at_bytes = self._size_bytes + self._rotate_bytes // 10

    def _rename(self) -> bool:
        """Rename the file, unless another process has; False = another one is at it.

        One process at a time: a second one would rename the file that the first has just begun. Nobody waits for that
        one, which may be stopped, or hang.
        """
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not _is_locked(folder, fcntl.LOCK_EX):
                return False
            if self._is_current():
                self.path.rename(self.path.with_name(f"{self.path.name}.{self._rotated_at()}"))
        finally:
            os.close(folder)
        return True

    def _rotated_at(self) -> str:
        """Return the moment by which the file is called: behind all others, also those of a clock that was ahead.

        By their names it is decided which are the oldest, and go.
        """
        now = datetime.now(UTC)
        names = [path.name.removeprefix(f"{self.path.name}.") for path in (*self._uncompressed(), *self._compressed())]
        newest = max((name.removesuffix(".gz") for name in names), default="")
        with suppress(ValueError, OverflowError):  # a name that a person has made
            now = max(now, datetime.strptime(newest, _ROTATED_AT).replace(tzinfo=UTC) + timedelta(microseconds=1))
        return now.strftime(_ROTATED_AT)

    def _close_descriptor(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _compress_later(self) -> None:
        """Compress in a thread: a second of gzip is not to hold up who writes a line. The caller holds the lock."""
        self._is_compression_wanted = True
        if not self._is_compressing:
            self._is_compressing = True
            self._compressor = threading.Thread(target=self._compress_all, name="hookfuse-log-gzip", daemon=True)
            self._compressor.start()

    def _compress_all(self) -> None:
        while self._takes_order():
            for path in self._uncompressed():
                with suppress(OSError):
                    _compress(path)
            for old in self._compressed()[: -self._keep_files]:
                with suppress(OSError):
                    old.unlink()

    def _takes_order(self) -> bool:
        with self._lock:
            self._is_compressing = self._is_compression_wanted
            self._is_compression_wanted = False
            return self._is_compressing

    def _uncompressed(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self.path.name}.*Z"))

    def _compressed(self) -> list[Path]:
        return sorted(self.path.parent.glob(f"{self.path.name}.*Z.gz"))


def _is_locked(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _compress(path: Path) -> None:
    """Compress a file that nobody writes to any more; whoever releases it last does it."""
    with path.open("rb") as source:
        if not _is_locked(source.fileno(), fcntl.LOCK_EX) or not path.exists():  # another process has been quicker
            return
        partial = path.with_name(path.name + ".gz.partial")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as raw, gzip.GzipFile(path.name, "wb", 6, raw) as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
        partial.rename(path.with_name(path.name + ".gz"))
        path.unlink()
