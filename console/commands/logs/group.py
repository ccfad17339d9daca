"""`hookfuse logs`: the daemon's log, filtered and followed."""

import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import click

from console.logs.follower import Follower
from console.logs.line_output import LineOutput, print_account
from console.logs.log_files import is_compressed, opened_log, require_readable, streams_within, total_bytes
from console.logs.log_options import LogQuery, file_argument, filter_options, log_query, require_home_folder
from console.logs.log_reader import LogReader
from console.output.progress import SlowProgress
from console.output.tables import note
from console.shell.lazy_command import LazyCommand
from console.shell.session import Session
from eventstore.errors import DocumentError

__all__ = ["logs"]

_FORMAT = Path(__file__).parents[2] / "formats" / "hookfuse.lnav.json"

_LAST_BEFORE_FOLLOWING = 10
_MOST_LAST = 1_000_000

# How long a follower waits before it looks again: short for a person, and four looks a second cost nothing.
_LOOK_AGAIN_MS = 250


def _print_format(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        click.echo(str(_FORMAT))
        context.exit()


class _LogsGroup(click.Group):
    """Hands over to a command when the first word is its name; other words are for the group: options and files.

    A file of such a name is named `./summary`. What click calls next is the context's command.
    """

    allow_interspersed_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        command = self.commands.get(args[0]) if args else None
        if command is None:
            return super().make_context(info_name, args, parent, **extra)
        # By its name only: the files of the group are not words of the command's usage.
        above = click.Context(click.Command(None), info_name=info_name, parent=parent)
        return command.make_context(args[0], args[1:], above, **extra)


@click.group(cls=_LogsGroup, invoke_without_command=True, subcommand_metavar="| COMMAND ...")
@filter_options
@click.option("-n", "--last", type=click.IntRange(0, _MOST_LAST), metavar="COUNT", help="Only the last lines.")
@click.option(
    "-f",
    "--follow",
    is_flag=True,
    help="Follow the log: print the last 10 lines, or those asked for, then each new one.",
)
@click.option("--json", "is_json", is_flag=True, help="Print the lines as they are, one JSON object a line.")
@click.option(
    "--lnav-format",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_format,
    help="Print the path of the format file for lnav.",
)
@file_argument
@click.pass_obj
def logs(
    session: Session,
    /,
    *,
    files: tuple[Path, ...],
    last: int | None,
    follow: bool,
    is_json: bool,
    **options: str | None,
) -> None:
    """Show the daemon's log, the oldest lines first: that of the home, rotated files too, or the files named.

    FILE may be compressed; - is standard input. Times are UTC. What cannot be read is shown as it is where no
    filter is set, and counted on standard error.

    \b
    Example:
      hookfuse logs --since 2h --level warning
      hookfuse logs -f --installation 7c1f0a52
      hookfuse logs --outcome failed --json | jq .error_class
    """  # noqa: D301 - \b is click's
    query = log_query(session, options)
    if follow:
        _follow(session, files, query, last, LineOutput(is_json=is_json))
    else:
        is_prompt = Path("-") in files  # somebody may be at the other end, who writes a line now and then
        _read(session, files, query, last, LineOutput(is_json=is_json, is_prompt=is_prompt))


logs.add_command(LazyCommand("delivery", "console.commands.logs.delivery:delivery", "Tell the story of one delivery."))
logs.add_command(LazyCommand("summary", "console.commands.logs.summary:summary", "Count what the log says."))


def _read(session: Session, files: tuple[Path, ...], query: LogQuery, last: int | None, output: LineOutput) -> None:
    if not files:
        require_home_folder(session)
    with opened_log(session.home.log, files, since=query.since, until=query.until) as streams:
        if not streams and not files:
            note(f"there is no log at {session.home.log} yet, or not of that time")
        with SlowProgress("reading", total_bytes(streams)) as progress:
            reader = LogReader(query.wanted, progress.advance)
            is_empty = True
            with _saying_account(reader, output):
                found = reader.read(streams) if last is None else reader.read_last(streams, last)
                for one in found:
                    is_empty = False
                    progress.stop()  # what it would write would stand between the lines
                    output.add(one)
        if is_empty and reader.lines and last != 0:
            note(f"no line to show, of {reader.lines:,} that were read")


def _follow(session: Session, files: tuple[Path, ...], query: LogQuery, last: int | None, output: LineOutput) -> None:
    path = _path_to_follow(session, files, query)
    if last is None and query.since is None:
        last = _LAST_BEFORE_FOLLOWING
    reader = LogReader(query.wanted)
    follower = Follower(path, reader, partial(_look_again, output))
    streams = streams_within(follower.before, query.since)
    with _saying_account(reader, output):
        before = reader.read(streams) if last is None else reader.read_last(streams, last)
        for one in chain(before, follower.lines()):
            output.add(one)


def _path_to_follow(session: Session, files: tuple[Path, ...], query: LogQuery) -> Path:
    if query.until is not None:
        raise click.UsageError("--until makes no sense for what is still to come")
    if not files:
        require_home_folder(session)
        return session.home.log
    if len(files) > 1 or str(files[0]) == "-":
        raise click.UsageError("-f follows one file: name it")
    require_readable(files[0])
    if is_compressed(files[0]):
        raise DocumentError(f"{files[0]} is compressed: nothing is added to it any longer")
    return files[0]


def _look_again(output: LineOutput) -> bool:
    """Flush what was shown, and wait; a pipe that nobody reads any more ends the waiting, and the command."""
    output.flush()
    watch = select.poll()
    watch.register(sys.stdout.fileno(), 0)  # for nothing but its end
    if watch.poll(_LOOK_AGAIN_MS):
        raise BrokenPipeError
    return True


@contextmanager
def _saying_account(reader: LogReader, output: LineOutput) -> Iterator[None]:
    """Print at the end, however it comes, what could not be read; after the lines that stand before it."""
    try:
        yield
        output.flush()
    finally:
        print_account(reader)
