"""The daemon as a process, or as several: its home, its signals, its log, its exit codes."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import click

from console.shell.cli import cli
from console.shell.command_line import run_command_line
from console.shell.exit_codes import ExitCode
from console.shell.options import json_option

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from actors.process.worker_pipe import WorkerPipe
    from console.shell.session import Session
    from eventstore.common.diagnostic import Diagnostic
    from eventstore.home.folder import Home
    from eventstore.settings.configuration import Configuration

# Imported where they are needed: a command that sends nothing must not pay for requests, pykka and their kin.
# ruff: noqa: PLC0415

__all__ = ["main"]

_MOST_PROCESSES = 64
# Seconds for which a thread may keep the interpreter while others wait: at Python's own 0.005 the one that commits is
# kept waiting between two statements, and with it whoever wants to write to the database.
_SWITCH_INTERVAL_S = 0.001


@cli.command("run")
@click.option("--drain", "is_drain", is_flag=True, help="Exit once nothing is due.")
@click.option(
    "--processes",
    type=click.IntRange(1, _MOST_PROCESSES),
    metavar="N",
    help="How many processes share the work; by default [daemon] processes.",
)
@click.pass_context
def run_daemon(context: click.Context, *, is_drain: bool, processes: int | None) -> None:
    """Deliver what is queued, until SIGTERM or Ctrl-C.

    With --processes 2 or more, each of that many worker processes serves a share of the installations; one that
    ends is started again.

    \b
    Example:
      hookfuse --home /var/lib/hookfuse run
      hookfuse --home /var/lib/hookfuse run --processes 2
    """  # noqa: D301 - click's mark for a paragraph that is not to be wrapped
    home: Home = context.obj.home
    exit_code, failure = _run(home, is_drain=is_drain, processes=processes)
    if failure:
        click.echo(f"hookfuse: stopped: {failure}; what was recorded is committed, the rest is queued", err=True)
    context.exit(exit_code)


@cli.command("doctor")
@click.option("--mail-to", metavar="ADDRESS", help="Send one test mail, to see whether mails arrive.")
@json_option
@click.pass_obj
def examine(session: Session, *, mail_to: str | None, is_json: bool) -> ExitCode:
    """Check what is around the daemon, and say how to fix it.

    Home, disk, clock, settings, limits, database, mail server, proxy, and the hosts of the endpoints. It sends nothing
    to an endpoint, changes nothing, and works while a daemon runs.

    \b
    Example:
      hookfuse doctor
      hookfuse doctor --mail-to you@example.com
    """  # noqa: D301 - as above
    from actors.assembly.checkup import check_endpoints, check_mail
    from actors.assembly.outside import guard_for, mail_transport_for, proxy_for
    from actors.assembly.proxy_checkup import check_proxy
    from console.doctor.checkup import check_home, show_findings
    from eventstore.common.lazy_log import configure_now
    from eventstore.projections.registry import read_client_certificates, read_urls_in_use
    from eventstore.settings.client_certificate import check_client_certificates
    from eventstore.settings.trusted_certificates import check_trusted

    configure_now()

    def check_outside(configuration: Configuration, connection: sqlite3.Connection) -> Iterator[Diagnostic]:
        postbox = mail_transport_for(session.home, configuration)
        yield from check_mail(postbox, sender_address=configuration.mail.sender, mail_to=mail_to, now=session.now())
        yield from check_client_certificates(read_client_certificates(connection), session.now())
        yield from check_trusted(configuration)
        urls, guard = list(read_urls_in_use(connection)), guard_for(configuration)
        yield from check_proxy(proxy_for(configuration), urls, guard)
        yield from check_endpoints(urls, guard)

    return show_findings(check_home(session, check_outside), is_json=is_json)


def _run(home: Home, *, is_drain: bool, processes: int | None) -> tuple[ExitCode, str]:
    import structlog

    from actors.process.daemon import Daemon
    from console.daemon_log.log_output import configure_daemon_logging, queue_copies
    from console.shell.greeting import greeting
    from eventstore.common.file_budget import files_needed, raise_file_limit, share_out
    from eventstore.common.lazy_log import configure_now
    from eventstore.integrity.loss_watch import LossWatch
    from eventstore.integrity.scrubbing import check_at_start, damage_of
    from eventstore.settings.chosen_policy import configured_policy
    from eventstore.settings.configuration import load_configuration
    from eventstore.settings.trusted_certificates import require_trusted
    from eventstore.sqlite.database import open_database

    configure_now()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    dropped_lines = queue_copies()
    with ExitStack() as stack:
        home.prepare()
        hold = stack.enter_context(home.ownership.held())
        configuration = load_configuration(home.configuration)
        require_trusted(configuration)
        share_out(raise_file_limit(files_needed(1)), 1)  # too few are an error now, before anything is touched
        policy = configured_policy(home, configuration.policy)
        # Made, and brought to the newest schema, before anybody else needs it; whatever takes its place is noticed, as
        # no other file can have the inode of one that is open.
        stack.callback(open_database(home.database, is_writer=True).close)
        check_at_start(home)
        losses = LossWatch(home.database)
        count = processes or configuration.daemon.processes
        log_file = configure_daemon_logging(home, configuration.log, is_terminal=sys.stderr.isatty())
        stack.callback(log_file.close)
        log = structlog.get_logger("hookfuse.daemon")
        doorbell = stack.enter_context(home.doorbell.listen())
        stop_asked = stack.enter_context(_stop_on_signals(doorbell.wake))
        with suppress(OSError):  # a daemon whose standard error is full, or closed, delivers all the same
            click.echo(greeting(home, configuration, count), err=True)
        log.info(
            "daemon_started",
            pid=os.getpid(),
            home=str(home.path),
            policy=policy.name,
            policy_version=policy.version,
            processes=count,
        )
        _warn_of_certificates(home)
        daemon = Daemon(
            home=home,
            configuration=configuration,
            policy=policy,
            stop_asked=stop_asked,
            keep_log=log_file.look,
            dropped_lines=dropped_lines,
            doorbell=doorbell,
            losses=losses,
            is_drain=is_drain,
        )
        failure = daemon.work_alone() if count == 1 else daemon.lead_worker_pool(count, hold.workers_lock)
        exit_code = ExitCode.CRASHED if failure else ExitCode.OK
        if reason := losses.lost() or (failure and damage_of(home)):  # whoever has met it first
            exit_code, failure = ExitCode.DATABASE, reason
        log.info("daemon_stopped", exit_code=int(exit_code), failure=failure or None)
    return exit_code, failure


def _warn_of_certificates(home: Home) -> None:
    """Warn at the start which client certificates can't be used, or not for long: what needs them waits."""
    from contextlib import closing
    from datetime import UTC, datetime

    import structlog

    from eventstore.projections.registry import read_client_certificates
    from eventstore.settings.client_certificate import check_client_certificates
    from eventstore.sqlite.database import open_database

    with closing(open_database(home.database, is_writer=False)) as connection:
        log = structlog.get_logger("hookfuse.daemon")
        for finding in check_client_certificates(read_client_certificates(connection), datetime.now(UTC)):
            if finding.level == "fault":
                log.warning(
                    "client_certificate_unusable", problem=finding.text, fix=finding.fix, done="what needs it waits"
                )
            elif finding.level == "warning":
                log.warning(
                    "client_certificate_expires_soon", problem=finding.text, fix=finding.fix, done="used until then"
                )


@cli.command("worker", hidden=True)
@click.option("--number", type=click.IntRange(1, _MOST_PROCESSES), required=True)
@click.option("--of", "count", type=click.IntRange(1, _MOST_PROCESSES), required=True)
@click.pass_context
def run_worker(context: click.Context, *, number: int, count: int) -> None:
    """Deliver for a share of the installations, until the daemon says so; `run --processes` starts it."""
    from actors.process.worker_pipe import Answer, WorkerPipe
    from console.daemon_log.log_output import queue_copies

    dropped_lines = queue_copies()
    home: Home = context.obj.home
    # What a library prints must not come in between the answers.
    answers = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    if home.ownership.daemon_pid() != os.getppid():
        raise click.UsageError("`hookfuse run --processes N` starts the workers, and nobody else")
    line = WorkerPipe(0, answers)
    settings = line.read_greeting()
    line.end_with_daemon()
    try:
        failure = _work(home, line, settings, dropped_lines, number=number, count=count)
    except Exception as error:
        line.answer(Answer.FAILED, str(error) or repr(error))
        raise
    if failure:
        line.answer(Answer.FAILED, failure)
        context.exit(ExitCode.CRASHED)


def _work(
    home: Home, line: WorkerPipe, settings: bytes, dropped_lines: Callable[[], int], *, number: int, count: int
) -> str:
    """Work until a stop is asked for; return what went wrong."""
    import structlog

    from actors.process.daemon import Worker
    from console.daemon_log.log_output import configure_daemon_logging
    from eventstore.common.lazy_log import configure_now
    from eventstore.common.shard import WHOLE
    from eventstore.settings.handover import unpack_settings

    configure_now()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    configuration, policy = unpack_settings(settings)
    with ExitStack() as stack:
        log_file = configure_daemon_logging(home, configuration.log, is_terminal=sys.stderr.isatty(), worker=number)
        stack.callback(log_file.close)
        wake, woken = os.pipe()
        os.set_blocking(woken, False)
        worker = Worker(
            home=home,
            configuration=configuration,
            policy=policy,
            stop_asked=stack.enter_context(_stop_on_signals(partial(_ring, woken))),
            keep_log=log_file.look,
            dropped_lines=dropped_lines,
            line=line,
            shard=WHOLE.shared_out(count)[number - 1],
            wake=wake,
            woken=woken,
        )
        log = structlog.get_logger("hookfuse.daemon")
        log.info("worker_started", pid=os.getpid(), processes=count)
        failure = worker.work()
        log.info("worker_stopped", pid=os.getpid(), failure=failure or None)
    return failure


def _ring(descriptor: int) -> None:
    with suppress(BlockingIOError):  # so many rings wait that nobody sleeps
        os.write(descriptor, b"!")


@contextmanager
def _stop_on_signals(wake: Callable[[], object]) -> Iterator[threading.Event]:
    """Translate SIGTERM and SIGINT into a stop, by waking who waits; a second one ends the process."""
    stop_asked = threading.Event()

    def ask_to_stop(number: int, _frame: object) -> None:
        if stop_asked.is_set():
            os._exit(128 + number)
        stop_asked.set()
        wake()

    before = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop_asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main() -> None:
    """Run the hookfuse command."""
    run_command_line(cli)


if __name__ == "__main__":
    main()
