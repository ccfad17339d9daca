"""Checks of the daemon that runs, by what it says of itself."""

from collections.abc import Iterator

from eventstore.common.diagnostic import Diagnostic
from eventstore.home.folder import Home
from eventstore.settings.daemon_report import read_report

__all__ = ["check_daemon"]


def check_daemon(home: Home) -> Iterator[Diagnostic]:
    """See whether one runs, and whether somebody reads what it says."""
    pid = home.daemon_pid()
    if pid is None:
        yield Diagnostic.good("daemon", "none runs")
        return
    yield Diagnostic.good("daemon", f"runs (process {pid})")
    dropped = read_report(home.report, pid).dropped_lines
    if dropped:
        yield Diagnostic.warning(
            "daemon",
            f"{dropped:,} lines of standard error were dropped since its start, as nobody read them",
            f"see to what its standard error goes to; {home.log} has what was logged",
        )
