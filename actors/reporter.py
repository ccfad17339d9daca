"""What a daemon writes down about itself for `hookfuse doctor`."""

import os

import structlog

from eventstore.daemon_report import DaemonReport, write_report
from eventstore.errors import HomeError
from eventstore.home import Home

__all__ = ["Reporter"]

log = structlog.get_logger("hookfuse.daemon")


class Reporter:
    """Keeps the home's report in step with what the daemon knows; it writes when something is new."""

    def __init__(self, home: Home) -> None:
        self._path = home.report
        self._told: DaemonReport | None = None

    def tell(self, dropped_lines: int) -> None:
        """Write the report anew if the number is another."""
        report = DaemonReport(os.getpid(), dropped_lines)
        if report == self._told:
            return
        self._told = report
        try:
            write_report(self._path, report)
        except HomeError as error:
            log.warning("report_not_written", error=str(error), done="`hookfuse doctor` does not know it")
