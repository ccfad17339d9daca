"""`hookfuse events import`: history on its way in."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from console.commands.events.counts import CountRun, import_counted_days
from console.input.count_source import count_source
from console.input.input_file import InputFile, opened_input
from console.output.fault_list import print_faults
from console.output.progress import SlowProgress
from console.output.tables import print_json, print_line
from console.shell.options import by_option, json_option, person
from console.shell.session import Session
from eventstore.common.json_lines import read_lines
from eventstore.common.plural import grouped
from eventstore.errors import DaemonRunningError, RejectedError
from eventstore.projections.app_secrets import no_secret_text
from eventstore.transfer.event_import import ImportSummary, import_events
from eventstore.transfer.event_staging import LINE_BYTES, Staging
from eventstore.unit_of_work import Store

__all__ = ["import_history"]

# A daemon waits 30 s for another's commit, and gives up then.
_PATIENCE_OF_A_DAEMON_S = 20.0
_CHUNK_LINES = 500
_APPS_SHOWN = 10
_SEE = " (see --send-pending-mails)"


@click.command("import")
@click.argument("file", metavar="[FILE|-]", required=False)
@click.option("--dry-run", is_flag=True, help="Do everything, report the result, and roll it back.")
@click.option(
    "--send-pending-mails",
    "pending_mails",
    is_flag=True,
    help="Send the mails that are still pending in the history, instead of giving them up.",
)
@click.option(
    "--counts",
    metavar="URL|FILE|-",
    help="Import daily counts instead: from a Redis (redis://, rediss://, unix://), or from lines of JSON.",
)
@click.option("--counts-env", metavar="VAR", help="The same, from the Redis whose URL is in an environment variable.")
@click.option("--counts-url-from", metavar="FILE|-", help="The same, from the Redis whose URL is in a file.")
@click.option("--skip-unknown", is_flag=True, help="Leave out counts of apps that are not installed here.")
@by_option
@json_option
@click.pass_obj
def import_history(
    session: Session,
    *,
    file: str | None,
    dry_run: bool,
    pending_mails: bool,
    counts: str | None,
    counts_env: str | None,
    counts_url_from: str | None,
    skip_unknown: bool,
    by: str,
    is_json: bool,
) -> None:
    """Bring the events of FILE into this home; - = standard input. It may be compressed (gzip).

    All of them or none, with the times at which they were recorded; what is here already is skipped, so that
    importing again changes nothing. A line that is wrong is named by its number. A running daemon notices.

    Mails that were pending when FILE was written are given up, with an event, as they may have been sent since. Secrets
    and deliveries that wait are in no export: apps get theirs by `hookfuse apply` or `hookfuse app rotate-secret`.

    With --counts it imports what the original has counted, from the keys
    sentry-app-error:{app}:{organization}:{YYYY-MM-DD} of a Redis, which is only read, or from lines of
    {"key": ..., "fields": {...}}. Importing again records what has come since. A URL with a password does not belong
    in the command line: name a variable, or a file.

    \b
    Example:
      hookfuse events import events.jsonl.gz --dry-run
      hookfuse events import events.jsonl.gz
      hookfuse events import --counts redis://localhost:6379/0
    """  # noqa: D301 - \b is click's
    source = count_source(counts, counts_env, counts_url_from)
    if source is not None:
        if file is not None or pending_mails:
            raise click.UsageError(
                "counts are imported by themselves: give neither FILE nor --send-pending-mails with them"
            )
        run = CountRun(source, person(by), is_unknown_skipped=skip_unknown, is_dry_run=dry_run)
        import_counted_days(session, run, is_json=is_json)
    elif file is None:
        raise click.UsageError("give FILE, - for standard input, or --counts")
    elif skip_unknown:
        raise click.UsageError("--skip-unknown goes with counts: events have their registry with them")
    else:
        _import_events(session, file, is_dry_run=dry_run, is_mail_sent=pending_mails, is_json=is_json)


def _import_events(session: Session, file: str, *, is_dry_run: bool, is_mail_sent: bool, is_json: bool) -> None:
    with _store(session, is_dry_run=is_dry_run) as store, opened_input(file) as source:
        summary = _import(session, store, source, is_mail_sent=is_mail_sent, is_dry_run=is_dry_run)
    if not is_dry_run:
        session.home.doorbell.notify()
    if is_json:
        print_json(_document(summary, is_dry_run=is_dry_run))
    elif summary.fault_count:
        print_faults(summary.faults, summary.fault_count)
    else:
        _print_summary(summary, is_dry_run=is_dry_run)
    if summary.fault_count:
        lines = grouped(summary.fault_count, "line is", "lines are")
        raise RejectedError(f"{source.name}: {lines} wrong, and nothing was imported")


@contextmanager
def _store(session: Session, *, is_dry_run: bool) -> Iterator[Store]:
    """Open the home's store, of a home that is made where there is none; a dry run makes none."""
    if is_dry_run and not session.home.database.exists():
        with TemporaryDirectory() as folder, Store(Path(folder) / "events.db", session.clock) as store:
            yield store
        return
    session.home.prepare()
    with Store(session.home.database, session.clock) as store:
        yield store


def _import(
    session: Session, store: Store, source: InputFile, *, is_mail_sent: bool, is_dry_run: bool
) -> ImportSummary:
    with Staging(store.connection) as staging:
        with SlowProgress(f"reading {source.name}", source.size_bytes) as progress:
            lines = _watched(read_lines(source.stream, LINE_BYTES), source, progress)
            staging.fill(lines, now=session.now())
        with SlowProgress("importing", staging.line_count) as progress:
            spare = _spare_daemon(session)

            def on_events(count: int) -> None:
                progress.advance(count)
                spare()

            return import_events(store, staging, is_mail_sent=is_mail_sent, is_dry_run=is_dry_run, on_events=on_events)


def _watched(
    lines: Iterable[tuple[int, bytes | None]], source: InputFile, progress: SlowProgress
) -> Iterator[tuple[int, bytes | None]]:
    told_bytes = 0
    for count, line in enumerate(lines):
        if count % _CHUNK_LINES == 0:
            done_bytes = source.done_bytes()
            progress.advance(done_bytes - told_bytes)
            told_bytes = done_bytes
        yield line


def _spare_daemon(session: Session, seconds: Callable[[], float] = time.monotonic) -> Callable[[], None]:
    """Return what ends an import, with nothing done, for which a running daemon would have to wait too long."""
    deadline_s = seconds() + _PATIENCE_OF_A_DAEMON_S

    def spare() -> None:
        if seconds() > deadline_s and session.home.ownership.daemon_pid() is not None:
            raise DaemonRunningError(
                f"this import takes longer than the running daemon on home {session.home.path} can wait:"
                " stop it first; nothing was imported"
            )

    return spare


def _document(summary: ImportSummary, *, is_dry_run: bool) -> dict[str, object]:
    return {
        "lines": summary.line_count,
        "imported": summary.imported_count,
        "skipped": summary.skipped_count,
        "pending_mails": summary.pending_mails,
        "given_up_mails": summary.given_up_mails,
        "apps_without_secret": [app.app_id for app in summary.apps_without_secret],
        "faults": [{"line": fault.number, "text": fault.text} for fault in summary.faults],
        "fault_count": summary.fault_count,
        "is_dry_run": is_dry_run,
    }


def _print_summary(summary: ImportSummary, *, is_dry_run: bool) -> None:
    imported = grouped(summary.imported_count, "event")
    passed_over = f", and {summary.skipped_count:,} here already" if summary.skipped_count else ""
    print_line(f"{'would import' if is_dry_run else 'imported'} {imported}{passed_over}")
    if summary.given_up_mails == 1:
        print_line(f"1 pending mail of the history is given up, as it may have been sent elsewhere{_SEE}")
    elif summary.given_up_mails:
        count = f"{summary.given_up_mails:,}"
        print_line(f"{count} pending mails of the history are given up, as they may have been sent elsewhere{_SEE}")
    if summary.pending_mails:
        print_line(f"{grouped(summary.pending_mails, 'pending mail')} of the history: the daemon sends them")
    if summary.apps_without_secret:
        print_line("exports hold no secrets, and what is queued for an app without one waits:")
    for app in summary.apps_without_secret[:_APPS_SHOWN]:
        print_line(no_secret_text(app.app_id))
    left = len(summary.apps_without_secret) - _APPS_SHOWN
    if left > 0:
        print_line(f"and {left:,} more apps have none")
