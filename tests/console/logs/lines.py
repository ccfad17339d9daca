"""Lines such as the daemon writes, and a log that is rotated."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

import pytest

from console.daemon_log import log_file
from console.daemon_log.log_file import LogFile, _compress

INSTALLATION = "7c1f0a52-3d0e-4f2c-9a55-0f3f6f2a1b10"
OTHER_INSTALLATION = "7c1f0a99-0000-4000-8000-000000000002"
DELIVERY = "0197d3c0-1f2e-7a40-9d3c-5b1c2d3e4f50"


def line(number: int = 0, **fields: Any) -> bytes:
    """Return a line of an attempt; `number` is its second of the day."""
    document = {
        "event": "delivery_attempted",
        "level": "info",
        "timestamp": f"2025-02-08T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000000Z",
        "logger": "hookfuse.delivery",
        "installation_id": INSTALLATION,
        "delivery_id": DELIVERY,
        "event_name": "issue.created",
        "attempt": 1,
        "position": number,
        "outcome": "succeeded",
        "status_code": 200,
        "error_class": None,
        "duration_ms": 12.5,
        "retry_at": None,
    } | fields
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def rotate(path: Path, time: str) -> Path:
    """Do what the daemon does first: the file gets another name, and a new one stands in its place."""
    rotated = path.with_name(f"{path.name}.{time}Z")
    path.rename(rotated)
    path.touch(0o600)
    return rotated


def compress(rotated: Path) -> None:
    """Do what the daemon does then, by its own code."""
    _compress(rotated)


class _TimeOfLines(datetime):
    """Stands in for the clock by which the daemon names what it rotates: that of the lines which `line` gives."""

    number = 0

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls(2025, 2, 8, tzinfo=tz) + timedelta(seconds=cls.number)


def write_as_daemon(path: Path, lines: Sequence[bytes]) -> None:
    """Write lines by the daemon's own log, one a second and rotated on the way."""
    file = daemon_log(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_file, "datetime", _TimeOfLines)
        for _TimeOfLines.number, one in enumerate(lines):
            file.write(one)
    file.close()


def daemon_log(path: Path, *, rotate_bytes: int = 10_000, keep_files: int = 1000) -> LogFile:
    """Open a log as the daemon does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return LogFile(path, rotate_bytes=rotate_bytes, keep_files=keep_files, complain=print)
