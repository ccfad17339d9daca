"""The daemon as a process: its home, its signals, its loop, its exit codes."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

import click

from console.cli import cli
from console.command_line import run_command_line
from console.exit_codes import ExitCode
from console.options import json_option

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from actors.system import ActorSystem
    from console.session import Session
    from eventstore.configuration import Configuration
    from eventstore.finding import Finding
    from eventstore.home import Home

__all__ = ["main"]

_HOUSEKEEPING_S = 60.0
_DRAIN_POLL_S = 0.02


@cli.command("run")
@click.option("--drain", "is_drain", is_flag=True, help="Exit when nothing is due any more.")
@click.pass_context
def run_daemon(context: click.Context, *, is_drain: bool) -> None:
    """Deliver what is queued, until SIGTERM or Ctrl-C.

    \b
    Example:
      hookfuse --home /var/lib/hookfuse run
    """  # noqa: D301 - click's mark for a paragraph that is not to be wrapped
    home: Home = context.obj.home
    exit_code, failure = _run(home, is_drain=is_drain)
    if failure:
        click.echo(f"hookfuse: stopped: {failure}; what was recorded is committed, the rest is queued", err=True)
    context.exit(exit_code)


@cli.command("doctor")
@click.option("--mail-to", metavar="ADDRESS", help="Send one test mail, to see whether mails arrive.")
@json_option
@click.pass_obj
def examine(session: Session, *, mail_to: str | None, is_json: bool) -> ExitCode:
    """Check what is around the daemon, and say how to mend it.

    Home, disk, clock, settings, limits, database, mail server, and the hosts of the endpoints. It sends nothing to an
    endpoint, changes nothing, and works while a daemon runs.

    \b
    Example:
      hookfuse doctor
      hookfuse doctor --mail-to you@example.com
    """  # noqa: D301 - as above
    # As above: requests is imported only by who asks for it.
    from actors.checkup import check_endpoints, check_mail  # noqa: PLC0415
    from actors.system import guard_for, postbox_for  # noqa: PLC0415
    from console.doctor.checkup import check_home, show_findings  # noqa: PLC0415

    def check_outside(configuration: Configuration, connection: sqlite3.Connection) -> Iterator[Finding]:
        postbox = postbox_for(session.home, configuration)
        yield from check_mail(postbox, sender_address=configuration.mail.sender, mail_to=mail_to, now=session.now())
        yield from check_endpoints(connection, guard_for(configuration))

    return show_findings(check_home(session, check_outside), is_json=is_json)


def _run(home: Home, *, is_drain: bool) -> tuple[ExitCode, str]:
    # Imported here: a command that sends nothing must not pay for requests, pykka and their kin.
    import structlog  # noqa: PLC0415

    from actors.system import ActorSystem, postbox_for, sender_for  # noqa: PLC0415
    from console.greeting import greeting  # noqa: PLC0415
    from console.log_output import configure_daemon_logging  # noqa: PLC0415
    from eventstore.configuration import load_configuration  # noqa: PLC0415
    from eventstore.policy_document import configured_policy  # noqa: PLC0415

    with ExitStack() as stack:
        home.prepare()
        stack.enter_context(home.held_by_daemon())
        configuration = load_configuration(home.configuration)
        log_file = configure_daemon_logging(home, configuration.log, is_terminal=sys.stderr.isatty())
        stack.callback(log_file.close)
        log = structlog.get_logger("hookfuse.daemon")
        doorbell = home.open_doorbell()
        stack.callback(os.close, doorbell)
        system = ActorSystem(
            home,
            configuration,
            sender=sender_for(configuration),
            postbox=postbox_for(home, configuration),
            on_failure=home.ring_doorbell,
        )
        stop_asked = stack.enter_context(_stop_on_signals(doorbell))
        with suppress(OSError):  # a daemon whose standard error is full, or closed, delivers all the same
            click.echo(greeting(home, configuration), err=True)
        policy = configured_policy(home, configuration.policy)
        log.info(
            "daemon_started",
            pid=os.getpid(),
            home=str(home.path),
            policy=policy.name,
            policy_version=policy.version,
        )
        loss = _serve(system, home, doorbell, stop_asked, poll_s=configuration.daemon.poll_s, is_drain=is_drain)
        system.stop()
        failure = loss or system.failure
        exit_code = ExitCode.CRASHED if failure else ExitCode.OK
        log.info("daemon_stopped", exit_code=int(exit_code), failure=failure or None)
    return exit_code, failure


def _serve(
    system: ActorSystem, home: Home, doorbell: int, stop_asked: threading.Event, *, poll_s: float, is_drain: bool
) -> str:
    """Have the actors look around whenever a producer rings, and every `poll_s` seconds; say what went wrong."""
    housekeeping_s = time.monotonic()
    inode = home.database_inode()
    while not stop_asked.is_set() and not system.failure:
        if home.database_inode() != inode:
            return f"{home.database} was removed or replaced under the daemon, which would never see what is queued"
        system.look_around()
        if is_drain and system.is_drained():
            break
        if time.monotonic() >= housekeeping_s:
            housekeeping_s += _HOUSEKEEPING_S
            system.keep_house()
        _wait_for_ring(doorbell, _DRAIN_POLL_S if is_drain else poll_s)
    return ""


def _wait_for_ring(doorbell: int, timeout_s: float) -> None:
    readable, _, _ = select.select([doorbell], [], [], timeout_s)
    if readable:
        os.read(doorbell, 65_536)


@contextmanager
def _stop_on_signals(doorbell: int) -> Iterator[threading.Event]:
    """Let SIGTERM and SIGINT ask for a stop; a second one ends the process at once."""
    stop_asked = threading.Event()

    def ask_to_stop(number: int, _frame: object) -> None:
        if stop_asked.is_set():
            os._exit(128 + number)
        stop_asked.set()
        os.write(doorbell, b"!")

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
