"""What a running daemon leaves in the home for those who look at it from outside, and only it knows."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from eventstore.errors import HomeError

__all__ = ["DaemonReport", "read_report", "write_report"]


@dataclass(frozen=True, slots=True)
class DaemonReport:
    """Of which process it is, and how many lines of standard error all its processes had to drop."""

    pid: int
    dropped_lines: int = 0


def write_report(path: Path, report: DaemonReport) -> None:
    """Put it in the place of the one before; it need not outlast a power cut. Raises HomeError."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(msgspec.json.encode(report) + b"\n")
        partial.chmod(0o600)
        partial.rename(path)
    except OSError as error:
        raise HomeError(f"{path} cannot be written ({error.strerror})") from error


def read_report(path: Path, pid: int) -> DaemonReport:
    """Read the report of that daemon; one that is not there, is another's or cannot be read says nothing."""
    try:
        report = msgspec.json.decode(path.read_bytes(), type=DaemonReport)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return DaemonReport(pid)
    return report if report.pid == pid else DaemonReport(pid)
