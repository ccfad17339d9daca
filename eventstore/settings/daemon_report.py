"""A running daemon's report in the home, of what only it knows."""

from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from eventstore.errors import HomeError
from eventstore.policies.policy import Policy

if TYPE_CHECKING:
    from eventstore.settings.configuration import Configuration

__all__ = ["DaemonReport", "digests_of", "read_report", "write_report"]

_WITH_SECRETS = {"smtp", "redis", "queue", "proxy", "tls"}


@dataclass(frozen=True, slots=True)
class DaemonReport:
    """Of which process it is, how many lines of standard error all its processes had to drop, and what it runs by.

    `policy` None = it does not say. `tables`: a digest of each table of settings, without those that hold secrets.
    """

    pid: int
    dropped_lines: int = 0
    policy: Policy | None = None
    disable_scope: str = ""
    tables: dict[str, str] = field(default_factory=dict)

    def changed_tables(self, configuration: "Configuration") -> tuple[str, ...]:
        """Return the names of the tables of settings that say something else now than when the daemon read them."""
        now = digests_of(configuration)
        return tuple(name for name, digest in self.tables.items() if now.get(name) != digest)


def digests_of(configuration: "Configuration") -> dict[str, str]:
    """Return a digest of each table of settings; none of those with secrets, which could be guessed."""
    return {
        name: blake2b(msgspec.json.encode(getattr(configuration, name)), digest_size=8).hexdigest()
        for name in configuration.__struct_fields__
        if name not in _WITH_SECRETS
    }


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
