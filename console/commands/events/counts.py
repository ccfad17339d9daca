"""Counts a day of another system on their way in: the other half of `hookfuse events import`."""

from dataclasses import dataclass

from console.input.count_source import CountSource
from console.output.fault_list import fault_rows, print_faults
from console.output.progress import SlowProgress
from console.output.tables import print_json, print_line
from console.shell.session import Session
from eventstore.common.json_lines import Faults
from eventstore.common.plural import grouped
from eventstore.errors import RejectedError
from eventstore.transfer.count_import import CountRule, CountSummary, import_counts

__all__ = ["CountRun", "import_counted_days"]


@dataclass(frozen=True, slots=True)
class CountRun:
    """What a person wants imported, and how."""

    source: CountSource
    by: str
    is_unknown_skipped: bool
    is_dry_run: bool


def import_counted_days(session: Session, run: CountRun, *, is_json: bool) -> None:
    """Import counts, and say what came of it. Raises RejectedError when nothing was imported for a fault."""
    rule = CountRule(
        source=run.source.kind,
        by=run.by,
        window_days=session.policy().window_days,
        is_unknown_skipped=run.is_unknown_skipped,
        is_dry_run=run.is_dry_run,
    )
    faults = Faults()
    with (
        session.writing() as store,
        SlowProgress(f"reading {run.source.name}", None) as progress,
        run.source.opened(faults, progress.advance) as buckets,
    ):
        summary = import_counts(store, buckets, rule, faults)
    if is_json:
        print_json(_document(summary, is_dry_run=run.is_dry_run))
    elif summary.fault_count:
        print_faults(summary.faults, summary.fault_count)
    else:
        _print_summary(summary, rule)
    if summary.fault_count:
        days = grouped(summary.fault_count, "day is", "days are")
        raise RejectedError(f"{run.source.name}: {days} wrong, and nothing was imported")


def _document(summary: CountSummary, *, is_dry_run: bool) -> dict[str, object]:
    return {
        "imported": summary.imported_count,
        "unchanged": summary.unchanged_count,
        "too_old": summary.too_old_count,
        "ahead": summary.ahead_count,
        "unknown": summary.unknown_count,
        "smaller": fault_rows(summary.smaller),
        "smaller_count": summary.smaller_count,
        "faults": fault_rows(summary.faults),
        "fault_count": summary.fault_count,
        "is_dry_run": is_dry_run,
    }


def _print_summary(summary: CountSummary, rule: CountRule) -> None:
    print_line(
        f"{'would import' if rule.is_dry_run else 'imported'} the counts of {grouped(summary.imported_count, 'day')}"
    )
    for count, text in (
        (summary.unchanged_count, "contained nothing new"),
        (summary.too_old_count, f"left out: before the {rule.window_days} days that a policy looks at"),
        (
            summary.ahead_count,
            "left out: of tomorrow in UTC (the other system's clock is ahead): import again then",
        ),
        (summary.unknown_count, "left out: of apps that are not installed here"),
        (summary.smaller_count, "left as they are: with less than was imported before"),
    ):
        if count:
            print_line(f"{grouped(count, 'day')} {text}")
    print_faults(summary.smaller, summary.smaller_count)
