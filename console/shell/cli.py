"""The command line: `hookfuse --home DIR COMMAND`."""

import os
from pathlib import Path

import click

from console.shell.lazy_command import LazyCommand

__all__ = ["cli"]

_EPILOG = """\b
Example:
  hookfuse apply registry.toml && hookfuse run

\b
Exit codes: 0 done, 1 tables differ, 2 usage, 3 bad input or configuration,
4 not found, 5 home, 6 a daemon runs already, 7 database or full disk,
8 the daemon gave up after crashes, 9 a test delivery failed,
10 done, but the output could not be written, 11 a check has found a fault,
12 the event log is damaged, 70 unexpected.
Errors are one line on standard error."""

_COMMANDS = (
    LazyCommand("apply", "console.commands.apply:apply", "Bring the registry to the state of a file."),
    LazyCommand("app", "console.commands.app:app", "Manage one app's secret and signing key."),
    LazyCommand("alert", "console.commands.alert:alert", "Queue an incident's alert."),
    LazyCommand("send", "console.commands.send:send", "Queue an event, or a file of many."),
    LazyCommand("disable", "console.commands.switch:disable", "Stop sending to an installation."),
    LazyCommand("enable", "console.commands.switch:enable", "Send to a disabled installation again."),
    LazyCommand("breaker", "console.commands.breaker:breaker", "Close the breaker of an installation by hand."),
    LazyCommand("test", "console.commands.probe_test:test", "Send a test delivery to an installation."),
    LazyCommand("status", "console.commands.status:status", "Show how things stand."),
    LazyCommand("installations", "console.commands.installations:installations", "List the installations."),
    LazyCommand("show", "console.commands.show:show", "Show everything about one installation."),
    LazyCommand("why", "console.commands.why:why", "Show why an installation is disabled, or how close it is."),
    LazyCommand("policy", "console.commands.policy:policy", "Read and check policies."),
    LazyCommand("requests", "console.commands.requests:requests", "Show the request log."),
    LazyCommand("audit", "console.commands.audit:audit", "Show who decided what."),
    LazyCommand("events", "console.commands.events.group:events", "Show what was recorded."),
    LazyCommand("replay", "console.commands.replay.group:replay", "Look back over what was recorded."),
    LazyCommand("deliveries", "console.commands.deliveries:deliveries", "Show what waits, was missed or is dead."),
    LazyCommand("logs", "console.commands.logs.group:logs", "Show, follow and sum up the daemon's log."),
    LazyCommand("backup", "console.commands.backup:backup", "Copy the database to a file."),
    LazyCommand("restore", "console.commands.backup:restore", "Restore a copy of the database."),
    LazyCommand("reindex", "console.commands.repair:reindex", "Rebuild the database's indexes."),
    LazyCommand("accept-loss", "console.commands.repair:accept_loss", "Go on without commits that are lost."),
    LazyCommand("forget-damaged", "console.commands.repair:forget_damaged", "Delete damaged packed batches."),
    LazyCommand("demo", "console.commands.demo:demo", "Watch it work, with real processes."),
)


@click.group(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--home",
    "home_path",
    type=click.Path(path_type=Path, readable=False),
    envvar="HOOKFUSE_HOME",
    default=".hookfuse",
    show_default=True,
    show_envvar=True,
    metavar="DIR",
    help="The folder that holds everything.",
)
@click.version_option(package_name="hookfuse", prog_name="hookfuse", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context, home_path: Path) -> None:
    """Deliver every alert, blow a fuse on what is broken, tell the owners why."""
    # The store takes 200 ms to import: --help, --version and a usage error come before it.
    from console.shell.session import open_session  # noqa: PLC0415
    from eventstore.common.lazy_log import configure_later  # noqa: PLC0415

    # Producer functions, and processes that a command starts, find the home there.
    os.environ["HOOKFUSE_HOME"] = str(home_path)
    configure_later(_configure_logging)
    context.obj = open_session(home_path, context.obj)


def _configure_logging() -> None:
    from console.daemon_log.log_output import configure_command_logging  # noqa: PLC0415 - 0.1 s

    configure_command_logging()


for _command in _COMMANDS:
    cli.add_command(_command)
