"""Checks of the home folder: permissions, disk, and how long the disk takes to keep something."""

import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from eventstore.common.diagnostic import Diagnostic
from eventstore.home.folder import Home
from eventstore.sqlite.database import WAL_LIMIT_BYTES, wal_bytes

__all__ = ["check_disk", "check_permissions", "check_sync", "check_wal"]

_FREE_FAULT_BYTES = 100_000_000
_FREE_WARNING_BYTES = 1_000_000_000
# Above it one commit at a time is below 20 a second.
_SYNC_WARNING_MS = 50.0
_SYNCS = 5


def check_permissions(home: Home) -> Iterator[Diagnostic]:
    """Check that nobody else can reach what the home holds, and that this user can write it."""
    is_open = bool(stat.S_IMODE(home.path.stat().st_mode) & 0o077)
    foreign = [path for path in _kept_paths(home) if path.lstat().st_uid != os.geteuid()]
    if is_open:
        yield Diagnostic.fault(
            "permissions",
            f"others may read {home.path}, whose database holds secrets",
            f"chmod 700 {home.path}; rotate the secrets if somebody else has read it",
        )
    if foreign:
        owner = foreign[0].lstat().st_uid
        yield Diagnostic.warning(
            "permissions",
            f"{foreign[0]} belongs to user {owner}, and this is user {os.geteuid()}{_more(foreign)}",
            "always run hookfuse as one user, or give the files to that user (chown)",
        )
    if not os.access(home.path, os.W_OK | os.X_OK):
        yield Diagnostic.fault("permissions", f"{home.path} cannot be written", "run as its owner, or correct its mode")
    elif not is_open and not foreign:
        yield Diagnostic.good("permissions", "private, and writable by this user")


def check_disk(home: Home) -> Diagnostic:
    """Check how much room there is."""
    usage = shutil.disk_usage(home.path)
    text = f"{_size(usage.free)} of {_size(usage.total)} free, and the database takes {_size(_database_bytes(home))}"
    fix = "make room: a full disk stops deliveries (nothing is lost by it, and nothing new is taken)"
    if usage.free < _FREE_FAULT_BYTES:
        return Diagnostic.fault("disk", text, fix)
    if usage.free < _FREE_WARNING_BYTES:
        return Diagnostic.warning("disk", text, fix)
    return Diagnostic.good("disk", text)


def check_wal(home: Home) -> Diagnostic:
    """Check whether the write-ahead log can be put back into the database."""
    size = wal_bytes(home.database)
    text = f"the database's WAL takes {_size(size)}"
    if size > 4 * WAL_LIMIT_BYTES:
        return Diagnostic.warning(
            "disk",
            text,
            "end whatever has had the database open for long (fuser -v events.db); a daemon that runs cuts it within a"
            " minute then",
        )
    return Diagnostic.good("disk", text)


def check_sync(home: Home) -> Diagnostic:
    """Measure how long it takes until a few bytes are on the disk, which each commit waits for."""
    try:
        times_ms = _time_syncs(home.path)
    except OSError as error:
        return Diagnostic.fault("disk", f"a file in {home.path} cannot be written ({error.strerror})", "check the disk")
    text = f"{median(times_ms):.1f} ms until a write is safely on it"
    if median(times_ms) > _SYNC_WARNING_MS:
        return Diagnostic.warning("disk", text, "keep the home on a faster disk: each commit waits for it")
    return Diagnostic.good("disk", text)


def _time_syncs(folder: Path) -> list[float]:
    times_ms = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_SYNCS):
            started_s = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            times_ms.append((time.perf_counter() - started_s) * 1000)
    return times_ms


def _kept_paths(home: Home) -> Iterator[Path]:
    yield home.path
    for path in (home.database, home.configuration, home.log.parent, home.outbox):
        if path.exists():
            yield path
    for pattern in ("events.db-*", "logs/hookfuse*"):
        yield from home.path.glob(pattern)


def _database_bytes(home: Home) -> int:
    return sum(path.stat().st_size for path in home.path.glob("events.db*"))


def _size(count: int) -> str:
    amount = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _more(paths: list[Path]) -> str:
    return f" and {len(paths) - 1} more" if len(paths) > 1 else ""
