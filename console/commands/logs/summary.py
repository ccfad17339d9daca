"""`hookfuse logs summary`: what the log adds up to."""

from dataclasses import asdict
from pathlib import Path

import click

from console.logs.bounded_counts import BoundedCounts, Counted
from console.logs.log_account import print_account
from console.logs.log_options import file_argument, filter_options, log_query, require_home_folder
from console.logs.log_pieces import opened_pieces, total_bytes
from console.logs.log_reader import LogReader
from console.logs.log_summary import LogSummary
from console.output.progress import SlowProgress
from console.output.tables import Column, print_facts, print_json, print_line, print_table, shown_id
from console.output.times import short_time
from console.shell.options import json_option
from console.shell.session import Session

__all__ = ["summary"]

_LATENCIES = (
    Column("outcome"),
    Column("attempts", is_number=True),
    Column("p50 ms", is_number=True),
    Column("p95 ms", is_number=True),
    Column("p99 ms", is_number=True),
)
_ERROR_CLASSES = (Column("outcome"), Column("error class"), Column("attempts", is_number=True))
_INSTALLATIONS = (Column("installation"), Column("lines", is_number=True), Column("failures", is_number=True))


@click.command()
@filter_options
@click.option("--top", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many of each kind.")
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
        opened_pieces(session.home.log, files, since=query.since, until=query.until) as pieces,
        SlowProgress("reading the log", total_bytes(pieces)) as progress,
    ):
        reader = LogReader(query.wanted, progress.advance)
        for _, entry in reader.read(pieces):
            if entry is not None:
                counted.add(entry)
    if is_json:
        print_json(_document(counted, reader, top))
    else:
        _print(counted, reader, top)
    print_account(reader)


def _document(counted: LogSummary, reader: LogReader, top: int) -> dict[str, object]:
    failures, all_failures = counted.failures(top)
    installations, all_installations = counted.top_installations(top)
    return {
        "first_at": counted.first_at or None,
        "last_at": counted.last_at or None,
        "lines": counted.events.total,
        "lines_read": reader.lines,
        "broken_lines": reader.broken,
        "bytes_read": reader.bytes,
        "faults": reader.faults,
        "levels": _counts(counted.levels, "level", top),
        "events": _counts(counted.events, "event", top),
        "event_names": _counts(counted.event_names, "event_name", top),
        "outcomes": _counts(counted.outcomes, "outcome", top),
        "latencies": [{**asdict(latency), "outcome": latency.outcome or None} for latency in counted.latencies()],
        "error_classes": _with_others([asdict(one) for one in failures], all_failures),
        "installations": _with_others([asdict(one) for one in installations], all_installations),
    }


def _counts(counts: BoundedCounts, name: str, top: int) -> dict[str, object]:
    counted = counts.counted(top)
    return _with_others([{name: one, "count": count} for one, count in counted.top], counted)


def _with_others(rows: list[dict[str, object]], counted: Counted) -> dict[str, object]:
    return {
        "top": rows,
        "others": counted.others,
        "other_names": counted.other_names,
        "undercount": counted.undercount,
    }


def _print(counted: LogSummary, reader: LogReader, top: int) -> None:
    print_facts(
        {
            "from": short_time(counted.first_at),
            "to": short_time(counted.last_at),
            "lines": f"{counted.events.total:,} of {reader.lines:,}, {reader.bytes:,} bytes",
            "broken": f"{reader.broken:,} lines" if reader.broken else "",
            "levels": ", ".join(f"{count:,} {level or 'without'}" for level, count in counted.levels.counted(top).top),
        }
    )
    _print_counts("event", counted.events, top)
    _print_counts("event of deliveries", counted.event_names, top)
    _print_latencies(counted)
    failures, _ = counted.failures(top)
    if failures:
        print_line()
        print_table(_ERROR_CLASSES, [(one.outcome, one.error_class, f"{one.count:,}") for one in failures])
    _print_installations(counted, top)


def _print_counts(title: str, counts: BoundedCounts, top: int) -> None:
    if not counts.total:
        return
    counted = counts.counted(top)
    rows = [(name, f"{count:,}") for name, count in counted.top]
    if counted.others:
        rows.append((f"{counted.other_names:,} others", f"{counted.others:,}"))
    print_line()
    print_table((Column(title), Column("lines", is_number=True)), rows)


def _print_latencies(counted: LogSummary) -> None:
    latencies = counted.latencies()
    if latencies:
        print_line()
        rows = [
            (
                one.outcome or "all",
                f"{one.attempts:,}",
                *(f"{value:,.1f}" for value in (one.p50_ms, one.p95_ms, one.p99_ms)),
            )
            for one in latencies
        ]
        print_table(_LATENCIES, rows)


def _print_installations(counted: LogSummary, top: int) -> None:
    installations, everything = counted.top_installations(top)
    if not installations:
        return
    rows = [(shown_id(one.installation_id), f"{one.lines:,}", f"{one.failures:,}") for one in installations]
    if everything.others:
        rows.append((f"{everything.other_names:,} others", f"{everything.others:,}", ""))
    print_line()
    print_table(_INSTALLATIONS, rows)
    if everything.undercount:
        print_line(
            f"There are too many installations to count each: a count may be too small by {everything.undercount:,}."
        )
