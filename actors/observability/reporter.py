"""What a daemon writes down about itself for `hookfuse doctor`."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from eventstore.errors import HomeError
from eventstore.home.folder import Home
from eventstore.policies.policy import Policy
from eventstore.settings.daemon_report import DaemonReport, digests_of, write_report

if TYPE_CHECKING:
    from eventstore.settings.configuration import Configuration

__all__ = ["Reporter"]

log = structlog.get_logger("hookfuse.daemon")


class Reporter:
    """Keeps the home's report in step with what the daemon knows; it writes at its start, and when something is new."""

    def __init__(self, home: Home, configuration: "Configuration", policy: Policy) -> None:
        self._path = home.report
        self._told: DaemonReport | None = None
        self._first = DaemonReport(os.getpid(), 0, policy, configuration.disabling.apps, digests_of(configuration))
        self.tell(0)

    def tell(self, dropped_lines: int) -> None:
        """Write the report again if the number is another."""
        report = replace(self._first, dropped_lines=dropped_lines)
        if report == self._told:
            return
        self._told = report
        try:
            write_report(self._path, report)
        except HomeError as error:
            log.warning("report_not_written", error=str(error), done="`hookfuse doctor` cannot read it")
