"""`hookfuse replay verify`: projections compared with the events, and the log checked."""

import re
from itertools import groupby

import click
import msgspec

from console.commands.replay.projections import count_events, payload_facts, projection_option, wanted_names
from console.commands.replay.redis_replay import verify_redis
from console.output.progress import SlowProgress
from console.output.tables import Column, print_facts, print_json, print_line, print_table, shown_id
from console.shell.exit_codes import ExitCode
from console.shell.options import json_option, limit_option
from console.shell.session import Session
from eventstore.common.plural import counted
from eventstore.errors import DamagedLogError
from replay.check.comparison import Difference, Value
from replay.check.log_check import Anchor, LogCheck, check_log
from replay.check.verification import Comparison
from replay.check.verification import verify as verify_projections

__all__ = ["verify"]

_KNOWN = re.compile(r"(\d{1,19}):([0-9a-f]{32})", re.ASCII)
_VALUE_CHARACTERS = 60


def _anchor(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Anchor | None:
    if text is None:
        return None
    found = _KNOWN.fullmatch(text)
    if found is None:
        raise click.BadParameter(
            "it is a position, a colon and 32 hexadecimal digits, as an earlier check has printed it"
        )
    return Anchor(int(found[1]), bytes.fromhex(found[2]))


@click.command()
@projection_option
@click.option(
    "--log",
    "is_log_checked",
    is_flag=True,
    help="Check the log first: positions, versions, chain, data; indexes and the queue are for doctor.",
)
@click.option(
    "--known",
    "anchor",
    metavar="POSITION:HASH",
    callback=_anchor,
    help="With --log: the last event of an earlier check, which the log must still hold.",
)
@click.option("--against", "where", type=click.Choice(["redis"]), help="Compare the keys in Redis instead.")
@limit_option(1000, 100_000)
@json_option
@click.pass_obj
def verify(
    session: Session,
    *,
    names: tuple[str, ...],
    is_log_checked: bool,
    anchor: Anchor | None,
    where: str | None,
    limit: int,
    is_json: bool,
) -> ExitCode:
    """Rebuild projections from the events, and name each difference to the live tables; nothing is changed.

    It ends with 1 where they differ, and with 12 where the log is damaged; then nothing is compared.

    \b
    Example:
      hookfuse replay verify
      hookfuse replay verify --projection buffer --json
      hookfuse replay verify --log
      hookfuse replay verify --against redis
    """  # noqa: D301 - \b is click's
    if where is not None:
        if names or is_log_checked or anchor is not None:
            raise click.UsageError("--against redis goes with --limit and --json only")
        return verify_redis(session, limit=limit, is_json=is_json)
    if anchor is not None and not is_log_checked:
        raise click.UsageError("--known goes with --log")
    wanted = wanted_names(names)
    total = count_events(session)
    log = _check(session, total, limit, anchor) if is_log_checked else None
    comparison = None if log is not None and log.count else _compare(session, wanted, total, limit)
    if is_json:
        print_json(_document(wanted, log, comparison))
    else:
        _print(log, comparison)
    if comparison is None or comparison.truncation is not None:
        return ExitCode.DAMAGED_LOG
    return ExitCode.DIFFERENT if comparison.count else ExitCode.OK


def _check(session: Session, total: int, limit: int, anchor: Anchor | None) -> LogCheck:
    with SlowProgress("checking the log", total) as progress:
        return check_log(session.home.database, limit=limit, anchor=anchor, advance=progress.advance)


def _compare(session: Session, wanted: tuple[str, ...], total: int, limit: int) -> Comparison:
    try:
        with SlowProgress("reading events", total) as progress:
            return verify_projections(session.home.database, wanted, limit=limit, advance=progress.advance)
    except DamagedLogError as error:
        raise DamagedLogError(f"{error}; nothing was compared (verify --log names every fault)") from error


def _print(log: LogCheck | None, comparison: Comparison | None) -> None:
    if log is not None:
        _print_log(log)
    if comparison is None:
        print_line("nothing was compared, as what follows from a damaged log is not known")
        return
    for table, differences in groupby(comparison.differences, key=lambda one: one.table):
        _print_differences(list(differences), f"{table}: {counted(comparison.counts[table], 'difference')}")
        print_line()
    print_facts(
        {
            "events": comparison.up_to_position,
            "compared": ", ".join((*comparison.tables, *(["queue"] if comparison.waiting is not None else []))),
            "log": comparison.truncation,
            **payload_facts(comparison.waiting, comparison.without_payload),
        }
    )
    if len(comparison.differences) < comparison.count:
        print_line(f"the first {len(comparison.differences)} differences of {comparison.count} are listed (--limit)")
    if comparison.count == 0:
        print_line("no difference")
    else:
        print_line(f"{counted(comparison.count, 'difference')}: `hookfuse replay rebuild` repairs what can be repaired")


def _print_log(log: LogCheck) -> None:
    if log.count:
        columns = (Column("event", is_number=True), Column("fault"))
        rows = [(fault.position, fault.text) for fault in log.faults]
        print_table(columns, rows, title=f"the log: {counted(log.count, 'fault')}")
        if len(log.faults) < log.count:
            print_line(f"the first {len(log.faults)} faults of {log.count} are listed (--limit)")
        print_line()
    print_facts(
        {
            "log": f"{log.events} events, of which each follows from the one before" if not log.count else None,
            "last event": f"{log.last.position}:{log.last.hash.hex()}",
        }
    )


def _print_differences(differences: list[Difference], title: str) -> None:
    keys = list(differences[0].key)
    columns = (
        *(Column(name.removesuffix("_id"), is_whole=True) for name in keys),
        Column("field"),
        Column("live"),
        Column("rebuilt"),
    )
    rows = [
        (
            *(shown_id(str(value)) for value in one.key.values()),
            one.field or ("whole row" if one.key else "whole table"),
            *(_shortened(value) for value in (one.live, one.rebuilt)),
        )
        for one in differences
    ]
    print_table(columns, rows, title=title)


def _shortened(value: object) -> object:
    if not isinstance(value, str) or len(value) <= _VALUE_CHARACTERS:
        return value
    return value[: _VALUE_CHARACTERS - 1] + "…"


def _document(wanted: tuple[str, ...], log: LogCheck | None, comparison: Comparison | None) -> dict[str, object]:
    return {
        "projections": wanted,
        "log": log
        and {
            "events": log.events,
            "last_position": log.last.position,
            "last_hash": log.last.hash.hex(),
            "fault_count": log.count,
            "faults": [{"position": fault.position, "text": fault.text} for fault in log.faults],
        },
        "up_to_position": comparison and comparison.up_to_position,
        "difference_count": comparison and comparison.count,
        "counts": comparison and comparison.counts,
        "differences": comparison
        and [
            {
                "table": one.table,
                "key": one.key,
                "field": one.field or None,
                "live": _document_value(one, one.live),
                "rebuilt": _document_value(one, one.rebuilt),
            }
            for one in comparison.differences
        ],
        "truncation": comparison and comparison.truncation,
        "waiting": comparison and comparison.waiting,
        "without_payload": comparison and comparison.without_payload,
    }


def _document_value(difference: Difference, value: Value) -> object:
    is_row = not difference.field and difference.key and isinstance(value, str)
    return msgspec.Raw(str(value).encode()) if is_row else value
