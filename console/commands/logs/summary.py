"""`hookfuse logs summary`: what the log adds up to."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from console.logs.line_output import print_account
from console.logs.log_files import opened_log, total_bytes
from console.logs.log_options import file_argument, filter_options, log_query, require_home_folder
from console.logs.log_reader import LogReader
from console.logs.log_summary import LogSummary
from console.output.progress import SlowProgress
from console.output.tables import Column, print_facts, print_json, print_line, print_table, shown_id
from console.output.times import short_time
from console.shell.options import json_option
from console.shell.session import Session

__all__ = ["summary"]

_ATTEMPTS, _LINES = Column("attempts", is_number=True), Column("lines", is_number=True)
_LATENCIES = (Column("outcome"), _ATTEMPTS, *(Column(f"p{part} ms", is_number=True) for part in (50, 95, 99)))
_ERROR_CLASSES = (Column("outcome"), Column("error class"), _ATTEMPTS)
_INSTALLATIONS = (Column("installation"), _LINES, Column("failures", is_number=True))


@click.command()
@filter_options
@click.option(
    "--top", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many to list of each kind."
)
@json_option
@file_argument
@click.pass_obj
def summary(session: Session, /, *, files: tuple[Path, ...], top: int, is_json: bool, **options: str | None) -> None:
    """Count what the log says, of all lines or of those wanted: events, outcomes, latencies, installations.

    Latencies are within one percent. FILE as for `hookfuse logs`.

    \b
    Example:
      hookfuse logs summary --since 1d
    """  # noqa: D301 - \b is click's
    query = log_query(session, options)
    if not files:
        require_home_folder(session)
    counted = LogSummary()
    with (
        opened_log(session.home.log, files, since=query.since, until=query.until) as streams,
        SlowProgress("reading the log", total_bytes(streams)) as progress,
    ):
        reader = LogReader(query.wanted, progress.advance)
        for _, entry in reader.read(streams):
            if entry is not None:
                counted.add(entry)
    if is_json:
        print_json(_document(counted, reader, top))
    else:
        _print(counted, reader, top)
    print_account(reader)


def _document(counted: LogSummary, reader: LogReader, top: int) -> dict[str, object]:
    return {
        "first_at": counted.first_at or None,
        "last_at": counted.last_at or None,
        "lines": counted.events.total(),
        "lines_read": reader.lines,
        "broken_lines": reader.broken,
        "bytes_read": reader.bytes,
        "faults": reader.faults,
        "levels": _counts(counted.levels, top, "level"),
        "events": _counts(counted.events, top, "event"),
        "event_names": _counts(counted.event_names, top, "event_name"),
        "outcomes": _counts(counted.outcomes, top, "outcome"),
        "latencies": counted.latencies(),
        "error_classes": _counts(counted.error_classes, top, "outcome", "error_class"),
        "installations": {
            "top": [
                {"installation_id": name, "lines": lines, "failures": counted.failing[name]}
                for name, lines in counted.installations.most_common(top)
            ],
            **_others(counted.installations, top),
        },
    }


def _counts(counts: Counter[str], top: int, *names: str) -> dict[str, object]:
    rows = [{**dict(zip(names, name.split("\n"), strict=False)), "count": n} for name, n in counts.most_common(top)]
    return {"top": rows, **_others(counts, top)}


def _others(counts: Counter[str], top: int) -> dict[str, int]:
    """Return what comes after the top ones: how often, and how many names."""
    shown = counts.most_common(top)
    return {"others": counts.total() - sum(count for _, count in shown), "other_names": len(counts) - len(shown)}


def _print(counted: LogSummary, reader: LogReader, top: int) -> None:
    print_facts(
        {
            "from": short_time(counted.first_at),
            "to": short_time(counted.last_at),
            "lines": f"{counted.events.total():,} of {reader.lines:,}, {reader.bytes:,} bytes",
            "broken": f"{reader.broken:,} lines" if reader.broken else "",
            "levels": ", ".join(f"{count:,} {level or 'without'}" for level, count in counted.levels.most_common(top)),
        }
    )
    events = [(name, f"{count:,}") for name, count in counted.events.most_common(top)]
    _print_section((Column("event"), _LINES), events, counted.events, top)
    names = [(name, f"{count:,}") for name, count in counted.event_names.most_common(top)]
    _print_section((Column("event of deliveries"), _LINES), names, counted.event_names, top)
    latencies = [
        (one.outcome or "all", f"{one.attempts:,}", *(f"{ms:,.1f}" for ms in (one.p50_ms, one.p95_ms, one.p99_ms)))
        for one in counted.latencies()
    ]
    _print_section(_LATENCIES, latencies)
    failures = [(*name.split("\n"), f"{count:,}") for name, count in counted.error_classes.most_common(top)]
    _print_section(_ERROR_CLASSES, failures)
    installations = [
        (shown_id(name), f"{count:,}", f"{counted.failing[name]:,}")
        for name, count in counted.installations.most_common(top)
    ]
    _print_section(_INSTALLATIONS, installations, counted.installations, top)


def _print_section(
    columns: Sequence[Column], rows: Sequence[Sequence[str]], counts: Counter[str] | None = None, top: int = 0
) -> None:
    """Print a table, and in its last row what the names after the top ones come to; nothing where it is empty."""
    if not rows:
        return
    others = _others(counts, top) if counts is not None else {"others": 0}
    if others["others"]:
        rest = (f"{others['other_names']:,} others", f"{others['others']:,}", "")
        rows = [*rows, rest[: len(columns)]]
    print_line()
    print_table(columns, rows)
