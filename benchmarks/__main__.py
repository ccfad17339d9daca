"""`make bench`: take the figures, print one table, write docs/benchmarks.md."""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.conditions import Conditions
from benchmarks.figures.catalogue import EXPERIMENTS, FIGURES, Experiment
from benchmarks.hookfuse_flow import has_processes
from benchmarks.machine import commit_of_checkout, describe_machine
from benchmarks.page import benchmarks_page, number_text, rows_of
from benchmarks.process_group import ROOT, BenchmarkError
from benchmarks.readings import Reading, Row, results_of
from benchmarks.record import Record, merged, read_record, write_record
from console.output.tables import Column, print_line, print_table

_RECORD = ROOT / "docs" / "benchmarks.json"
_PAGE = ROOT / "docs" / "benchmarks.md"


_RUNS = 3


def main() -> int:
    """Return 0 when every figure could be taken, whatever it is."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that whatever runs is ended
    options.folder.mkdir(exist_ok=True)
    conditions = Conditions(options.folder.resolve(), options.processes, options.quick)
    readings: list[Reading] = []
    faults: list[str] = []
    for run in range(1, options.runs + 1):
        for wanted, experiment in _chosen(options.figures):
            readings += _take(conditions, experiment, wanted, f"run {run} of {options.runs}", faults)
    _report(conditions, readings)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure hookfuse beside its peers.")
    parser.add_argument("--figures", default="all", help=f"some of {', '.join(sorted(FIGURES))}, with commas")
    parser.add_argument("--runs", type=_count, help=f"how often; {_RUNS} where it is left out, with --quick once")
    parser.add_argument("--processes", type=_count, default=2 if has_processes() else 1, help="of hookfuse run")
    parser.add_argument("--quick", action="store_true", help="see whether it works; the numbers say nothing")
    parser.add_argument("--folder", type=Path, default=ROOT / ".benchmarks", help="where homes are made, on a disk")
    options = parser.parse_args()
    figures = FIGURES if options.figures == "all" else frozenset(options.figures.split(","))
    if unknown := figures - FIGURES:
        parser.error(f"there is no figure {', '.join(sorted(unknown))}; there are: {', '.join(sorted(FIGURES))}")
    options.figures = figures
    options.runs = options.runs or (1 if options.quick else _RUNS)
    return options


def _count(text: str) -> int:
    if (count := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{count} is none: give 1 or more")
    return count


def _chosen(figures: frozenset[str]) -> Iterator[tuple[frozenset[str], Experiment]]:
    for measured, experiment in EXPERIMENTS:
        if wanted := measured & figures:
            yield wanted, experiment


def _take(
    conditions: Conditions, experiment: Experiment, figures: frozenset[str], run: str, faults: list[str]
) -> Iterator[Reading]:
    what = f"{run}, figure {' '.join(sorted(figures))}"
    started_s = time.monotonic()
    try:
        for reading in experiment(conditions, figures):
            shown = " / ".join(number_text(value) for value in reading[1:] if value is not None)
            print(f"{what}: {reading.key} {shown}", file=sys.stderr)
            yield reading
    except BenchmarkError as error:
        faults.append(f"{what}: {error}")
        print(faults[-1], file=sys.stderr)
    print(f"{what}: {time.monotonic() - started_s:.0f} s", file=sys.stderr)


def _report(conditions: Conditions, readings: Sequence[Reading]) -> None:
    taken_at = datetime.now(UTC).isoformat(timespec="minutes").replace("+00:00", "Z")
    results = results_of(readings, taken_at=taken_at, commit=commit_of_checkout(), processes=conditions.processes)
    _print_rows(rows_of(results))
    if conditions.is_quick:
        print_line("quick: this shows that the benchmarks work, and not how fast anything is; nothing was written")
        return
    record = merged(read_record(_RECORD), Record(describe_machine(conditions.folder), results))
    write_record(_RECORD, record)
    _PAGE.write_text(benchmarks_page(record), encoding="utf-8")
    print_line(f"written to {_PAGE.relative_to(ROOT)}")


def _print_rows(rows: Sequence[Row]) -> None:
    columns = [
        Column("#", is_whole=True),
        Column("figure"),
        Column("hookfuse", is_number=True),
        Column("compared with"),
        Column("", is_number=True),
        *(Column(title, is_number=True) for title in ("ratio", "must", "aim")),
        Column("reached", is_whole=True),
    ]
    print_table(columns, [_shown(row) for row in rows], empty="no figure was taken")


def _shown(row: Row) -> tuple[str, ...]:
    goal = row.goal
    return (
        goal.figure,
        goal.what,
        number_text(row.value, goal.unit),
        goal.other,
        number_text(row.other, goal.unit),
        *(number_text(value) for value in (row.ratio, goal.must, goal.aim)),
        {None: "", True: "yes", False: "no"}[row.is_reached],
    )


if __name__ == "__main__":
    sys.exit(main())
