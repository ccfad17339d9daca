"""Where the files of a log are, and which comes before which."""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Self

from eventstore.errors import HomeError

__all__ = ["LogPart", "Snapshot", "is_same_file", "open_part", "open_uncompressed", "parts_within", "take_snapshot"]

# As console/daemon_log/log_file.py calls them; a .gz.partial is not whole yet, and the file that it is made of is still
# there.
_ROTATED = re.compile(r"(?P<ended_at>\d{8}T\d{6}\.\d{6}Z)(?:\.gz)?")
_ROTATED_TIME = "%Y%m%dT%H%M%S.%fZ"

# A rotation between two looks begins a new snapshot. Each takes rotate_bytes of lines: many in a row do not happen.
_TRIES = 100

# A line is stamped before it waits for the file, so that it can be older than the rotation before it; and other
# processes of the daemon write to a rotated file until they notice, half a second later.
_MARGIN = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class LogPart:
    """A file of a log, named without `.gz`: a rotated one is compressed some time after.

    `begun_at` is when the one before it was rotated, `ended_at` when it was itself; None = not known, or not yet.
    """

    path: Path
    begun_at: datetime | None = None
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A log at one moment: the rotated files, the oldest first, and the one that is written to, if there is one.

    The live file is open: it is the one that comes after these, whatever is renamed meanwhile.
    """

    rotated: tuple[LogPart, ...]
    live_part: LogPart
    live: BinaryIO | None

    def close(self) -> None:
        """Close the live file."""
        if self.live is not None:
            self.live.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


def take_snapshot(path: Path) -> Snapshot:
    """Find the files of a log while it may be rotated: each line is in one of them, and in one only.

    Raises HomeError when they cannot be read.
    """
    try:
        for _ in range(_TRIES):
            live = _open(path)
            rotated = tuple(_in_order(path))
            # Listed while the file that was opened was still the live one: so it is not among the rotated ones.
            if is_same_file(live, path):
                begun_at = rotated[-1].ended_at if rotated else None
                return Snapshot(rotated, LogPart(path, begun_at), live)
            if live is not None:
                live.close()
    except OSError as error:
        raise HomeError(f"the log {path} cannot be read ({error.strerror})") from error
    raise HomeError(f"the log {path} is rotated faster than it can be listed")


def is_same_file(stream: BinaryIO | None, path: Path) -> bool:
    """Say whether an open file is the one at a path; None is the same as none there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return stream is None
    return stream is not None and os.path.samestat(found, os.fstat(stream.fileno()))


def open_part(part: LogPart) -> BinaryIO | None:
    """Open a part, compressed or not yet; None = it is gone, as only the newest files are kept."""
    # In this order: the compressed one is there before the other goes.
    return _open(part.path) or _open(part.path.with_name(part.path.name + ".gz"))


def open_uncompressed(part: LogPart) -> BinaryIO | None:
    """Open a part that is not compressed yet; None = it is, or it is gone."""
    return _open(part.path)


def parts_within(
    parts: Sequence[LogPart], since: datetime | None = None, until: datetime | None = None
) -> list[LogPart]:
    """Leave out the parts that were ended before a moment, or begun after another."""
    return [
        part
        for part in parts
        if not (since and part.ended_at and part.ended_at + _MARGIN < since)
        and not (until and part.begun_at and part.begun_at - _MARGIN > until)
    ]


def _in_order(path: Path) -> Iterator[LogPart]:
    ends: dict[str, datetime] = {}
    with suppress(FileNotFoundError):  # no folder, no files
        for entry in os.scandir(path.parent):
            found = _ROTATED.fullmatch(entry.name.removeprefix(path.name + "."))
            if found is not None and entry.name.startswith(path.name + "."):
                with suppress(ValueError):  # digits that are no time: not one of ours
                    ends[found["ended_at"]] = datetime.strptime(found["ended_at"], _ROTATED_TIME).replace(tzinfo=UTC)
    part = LogPart(path)
    for text in sorted(ends):
        part = replace(part, path=path.with_name(f"{path.name}.{text}"), begun_at=part.ended_at, ended_at=ends[text])
        yield part


def _open(path: Path) -> BinaryIO | None:
    try:
        mode = path.stat().st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):  # some have no end: /dev/zero, /dev/full
            raise HomeError(f"the log {path} cannot be read (it is a device): name a file")
        return path.open("rb", buffering=0)
    except FileNotFoundError:
        return None
