"""docs/benchmarks.md, made from docs/benchmarks.json: python -m benchmarks.page."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.goals import GOALS, Goal
from benchmarks.readings import Result, Row, row_of
from benchmarks.record import Record, SoakResult, read_record

__all__ = ["benchmarks_page", "number_text", "rows_of"]

_ROOT = Path(__file__).parent.parent

_HEAD = """# Benchmarks

Ratios count here, and not how fast this machine is. Both sides of a ratio are taken in one run, one after the other; a
ratio is the median of the ratios of three runs, or of as many as [each run](#each-run) shows: one alone is an
indication. hookfuse runs as a user starts it, with its defaults: each outcome is fsynced before it counts, logs are
written, signatures, address guard, breaker and policy are on. Made by:

```sh
make bench                          # all of it, about an hour; its results are this page
make bench FIGURES=1,4 RUNS=5       # a part, which replaces its rows here
make soak MINUTES=10                # minutes under load with faults and restarts
make bench QUICK=1                  # whether the benchmarks work, in a few minutes; no result, and not written here
```
"""

_METHOD = """## How they are taken

* **Deliveries** are alerts of incidents, with 1.3 kB of body, to 500 installations in turn. Each has an ordering key
  of its own, as each has an incident of its own. The backlog is queued first. What is counted is what comes to the
  receiver between the first tenth and the last; afterwards each delivery must be recorded as successful, exactly
  once, or the run does not count.
* **The receiver** is one process: an asyncio protocol on uvloop that finds the end of a request, notes moment, path
  and number in shared memory, and answers from a constant. All installations are on one address and port, each with a
  path of its own: that is the best case for whoever keeps connections. One row of figure 1 has 500 addresses of
  the loopback network instead. Its ceiling and cost are in the table.
* **The peers** do the same flow as a task: build the body, sign it, POST it by a `requests.Session` that each thread
  keeps, with 5 seconds of time-out, count the day in Redis (HINCRBY, EXPIRE) and push the request log (LPUSH, LTRIM).
  Their queue is filled first, too. Their Redis is Valkey on a Unix socket, without persistence: what it acknowledges
  is not on disk. Its CPU time is left out of theirs, but where the row says otherwise.
* **Bare loops**: as many processes, with 8 threads each, each thread with its session; the body is there already,
  nothing is signed and nothing recorded.
* **CPU time** is that of the process and all that it starts, user and system, from /proc.
* **Figure 4**: the backlog lasts for 30 seconds; these count from the first delivery on, the first time-outs
  included. Every 50th or 5th installation reads requests and never answers; all contenders wait for 5 seconds.
* **Figure 5**: a producer of its own queues at half the pace that hookfuse has just reached. A delivery's time runs
  from the moment at which it was to be queued by the plan, so that a producer that is held up does not hide it.
* **Figure 6**: one delivery at a time, 50 ms apart, each to an installation whose actor is not there, as after an
  idle time.
* **Figure 7**: 1,000 apps in 100 organizations; the idle time-out is 10 seconds instead of 60, so that one need not
  wait.
* **Figure 8**: the history is written by `benchmarks.history`. Start: from the command to the first request at the
  receiver.
* **Figure 10**: 100 deliveries a second to 499 installations, for 35 seconds; three seconds in, another process queues
  100,000 in batches of 500 for one installation. The p99 is of those queued until the last of the burst has come.
* **The soak** is run at 70% of the pace that producer and daemon sustain together, five queued at a time, which is
  measured just before. A kept connection is closed when it was idle for a minute: after the load all must be.
"""


def rows_of(results: dict[str, Result]) -> list[Row]:
    """Return the lines of the table, in the order of the goals."""
    return [row_of(goal, results[key]) for key, goal in GOALS.items() if key in results]


def benchmarks_page(record: Record) -> str:
    """Return the whole page."""
    rows = rows_of(record.results)
    parts = [
        _HEAD,
        "## Machine and versions\n",
        *_table(("", ""), list(record.machine.items())),
        "\n## Figures\n",
        *_table(
            ("#", "figure", "hookfuse", "compared with", "", "ratio", "must", "aim", "reached", "which does not have"),
            [_cells(row) for row in rows],
        ),
        "",
        _METHOD,
        *(_soak(record.soak) if record.soak else ()),
        "## Each run\n",
        *_table(
            ("figure", "hookfuse", "other", "processes", "commit", "taken at"),
            [_run_cells(GOALS[key], result) for key, result in record.results.items() if key in GOALS],
        ),
    ]
    return "\n".join(parts) + "\n" if rows or record.soak else f"{_HEAD}\nNo figure was taken yet.\n\n{_METHOD}"


def number_text(value: float | None, unit: str = "") -> str:
    """Spell a number with as many digits as say something."""
    if value is None:
        return ""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def reached_text(row: Row) -> str:
    """Return whether a row is as good as it must be."""
    if row.is_reached is None:
        return ""
    if not row.is_reached:
        return "**no**"
    return "yes, the aim too" if row.is_aim_reached else "yes"


def _limit(goal: Goal, limit: float | None, *, is_ratio: bool) -> str:
    if limit is None:
        return ""
    sign = "≤" if goal.is_less_better else "≥"
    return f"{sign} {number_text(limit, '' if is_ratio else goal.unit)}"


def _cells(row: Row) -> tuple[str, ...]:
    goal, is_ratio = row.goal, row.ratio is not None
    return (
        goal.figure,
        goal.what,
        number_text(row.value, goal.unit),
        goal.other,
        number_text(row.other, goal.unit) if row.other is not None else "",
        number_text(row.ratio),
        _limit(goal, goal.must, is_ratio=is_ratio),
        _limit(goal, goal.aim, is_ratio=is_ratio),
        reached_text(row),
        goal.not_done,
    )


def _run_cells(goal: Goal, result: Result) -> tuple[str, ...]:
    return (
        goal.key,
        ", ".join(number_text(value) for value in result.values),
        ", ".join(number_text(value) for value in result.others),
        str(result.processes),
        result.commit,
        result.taken_at,
    )


def _soak(soak: SoakResult) -> Iterator[str]:
    yield "## Soak\n"
    yield f"Taken at {soak.taken_at}, commit {soak.commit}, {soak.processes} processes.\n"
    yield from _table(("", ""), list(soak.facts.items()))
    yield (
        "\n"
        + ("\n".join(f"* **{fault}**" for fault in soak.faults) or "No fault: nothing was lost, and nothing grows.")
        + "\n"
    )


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(titles)} |"
    yield "|" + "---|" * len(titles)
    yield from (f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    """Write the page again."""
    record = read_record(_ROOT / "docs" / "benchmarks.json")
    if record is not None:
        (_ROOT / "docs" / "benchmarks.md").write_text(benchmarks_page(record), encoding="utf-8")


if __name__ == "__main__":
    main()
