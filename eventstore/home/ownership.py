"""Who runs on a home: one daemon at a time, with its worker processes, by the locks of two files."""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from eventstore.common.shard import WHOLE, Shard
from eventstore.common.shortage import raise_shortage
from eventstore.errors import DaemonRunningError, HomeError

__all__ = ["HomeHold", "HomeOwnership"]

# How long the worker processes of a daemon that was killed may take to end. They do so at once.
_WORKERS_END_S = 10.0


@dataclass(frozen=True, slots=True)
class HomeHold:
    """What a daemon has while it holds a home. `shard`: all slots; `workers_lock`: a descriptor for its workers."""

    shard: Shard
    workers_lock: int


class HomeOwnership:
    """The locks of a home. The kernel releases them when a process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path / "daemon.lock"
        self._workers_lock = path / "workers.lock"

    @property
    def paths(self) -> tuple[Path, ...]:
        """Return the files that are locked."""
        return self._lock, self._workers_lock

    @contextmanager
    def held(self) -> Iterator[HomeHold]:
        """Hold the home for one daemon; the kernel releases it when the process ends, however it ends.

        It is held with all slots. A worker process that inherits its descriptor keeps the next daemon waiting until it
        has ended too, so that no two daemons ever send at the same time. Raises DaemonRunningError while another daemon
        holds the home, HomeError when it cannot be held at all.
        """
        lock = self._open_lock(self._lock)
        try:
            if not _has_locked(lock, patience_s=0.1):
                pid = next(iter(_read_pids(lock)), "unknown")
                raise DaemonRunningError(
                    f"a daemon already runs on home {self._path} (process {pid}): stop it first, or name another home"
                )
            workers_lock = self._open_lock(self._workers_lock)
            try:
                if not _has_locked(workers_lock, patience_s=_WORKERS_END_S):
                    pids = ", ".join(map(str, _read_pids(lock)[1:]))
                    raise DaemonRunningError(
                        f"worker processes of a daemon that was killed still run on home {self._path} ({pids}):"
                        " end them"
                    )
                _write_pids(lock, (os.getpid(),), self._path)
                yield HomeHold(WHOLE, workers_lock)
            finally:
                os.close(workers_lock)
        finally:
            os.close(lock)

    def name_workers(self, pids: Sequence[int]) -> None:
        """Write down, by the daemon that holds the home, which worker processes it has."""
        lock = self._open_lock(self._lock)
        try:
            _write_pids(lock, (os.getpid(), *pids), self._path)
        finally:
            os.close(lock)

    def _open_lock(self, path: Path) -> int:
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise_shortage(error, f"home {self._path}: {path.name} not opened")
            raise HomeError(f"home {self._path} cannot be held: {path.name} ({error.strerror})") from error

    def daemon_pid(self) -> int | None:
        """Return the process id of the daemon that holds this home, 0 when it is not known, None when none does."""
        pids = self._holders()
        return None if pids is None else next(iter(pids), 0)

    def worker_pids(self) -> tuple[int, ...]:
        """Return the process ids of the workers of the daemon that holds this home; one that has none works itself."""
        return (self._holders() or ())[1:]

    def _holders(self) -> tuple[int, ...] | None:
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_pids(descriptor)
        finally:
            os.close(descriptor)
        return None


def _write_pids(descriptor: int, pids: Sequence[int], path: Path) -> None:
    text = "".join(f"{pid}\n" for pid in pids).encode()
    try:
        # In this order somebody who reads meanwhile finds whole lines.
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))
    except OSError as error:
        raise HomeError(f"home {path} cannot be written ({error.strerror})") from error


def _read_pids(descriptor: int) -> tuple[int, ...]:
    lines = os.pread(descriptor, 4096, 0).decode(errors="replace").split()
    return tuple(int(line) for line in lines if line.isdecimal())


def _has_locked(descriptor: int, *, patience_s: float) -> bool:
    # daemon_pid() of another process holds a shared lock for some microseconds: that is not a daemon.
    deadline_s = time.monotonic() + patience_s
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)
