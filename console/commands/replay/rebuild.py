"""`hookfuse replay rebuild`: projections brought into step with the events."""

import click

from console.commands.replay.projections import count_events, payload_facts, projection_option, wanted_names
from console.commands.replay.redis_replay import rebuild_redis
from console.output.progress import SlowProgress
from console.output.tables import Column, print_facts, print_json, print_line, print_table
from console.shell.exit_codes import ExitCode
from console.shell.options import json_option
from console.shell.session import Session
from replay.rebuild.rebuild import Rebuilt
from replay.rebuild.rebuild import rebuild as rebuild_projections

__all__ = ["rebuild"]

_COLUMNS = (
    Column("table"),
    Column("inserted", is_number=True),
    Column("updated", is_number=True),
    Column("deleted", is_number=True),
)


@click.command()
@projection_option
@click.option(
    "--unchecked",
    is_flag=True,
    help="Change rows without checking the log's chain first, by the events as they can be read.",
)
@click.option("--to", "where", type=click.Choice(["redis"]), help="Rebuild the keys in Redis instead.")
@json_option
@click.pass_obj
def rebuild(session: Session, *, names: tuple[str, ...], unchecked: bool, where: str | None, is_json: bool) -> ExitCode:
    """Rebuild projections from the events, and correct the live rows that differ; a daemon may be running.

    They are made beside the live tables and swapped in one transaction. Before a row is changed the log is
    checked: nothing is built on a damaged one.

    \b
    Example:
      hookfuse replay rebuild
      hookfuse replay rebuild --projection buffer --projection requests
      hookfuse replay rebuild --to redis
    """  # noqa: D301 - \b is click's
    if where is not None:
        if names or unchecked:
            raise click.UsageError("--to redis rebuilds all keys there: it takes no other option")
        return rebuild_redis(session, is_json=is_json)
    wanted = wanted_names(names)
    total = count_events(session)
    with SlowProgress("reading events", total) as reading, SlowProgress("checking the log", total) as checking:

        def advance_check(count: int) -> None:
            reading.stop()  # at a terminal one bar is enough
            checking.advance(count)

        rebuilt = rebuild_projections(
            session.home.database,
            wanted,
            is_checked=not unchecked,
            advance=reading.advance,
            advance_check=advance_check,
        )
    if rebuilt.repaired:
        session.home.doorbell.notify()
    if is_json:
        print_json(_document(rebuilt, wanted))
    else:
        _print(rebuilt)
    return ExitCode.OK


def _print(rebuilt: Rebuilt) -> None:
    if rebuilt.repaired:
        rows = [(one.table, one.inserted, one.updated, one.deleted) for one in rebuilt.repaired]
        print_table(_COLUMNS, rows, title="rows repaired")
        print_line()
    else:
        print_line("every row agrees with the events: nothing was changed")
    print_facts(
        {
            "events": rebuilt.up_to_position,
            "others waited": f"{rebuilt.lock_s * 1000:.0f} ms" if rebuilt.repaired else None,
            **payload_facts(rebuilt.waiting, rebuilt.without_payload),
        }
    )


def _document(rebuilt: Rebuilt, wanted: tuple[str, ...]) -> dict[str, object]:
    return {
        "projections": wanted,
        "up_to_position": rebuilt.up_to_position,
        "repaired": [
            {"table": one.table, "inserted": one.inserted, "updated": one.updated, "deleted": one.deleted}
            for one in rebuilt.repaired
        ],
        "lock_ms": round(rebuilt.lock_s * 1000, 3),
        "waiting": rebuilt.waiting,
        "without_payload": rebuilt.without_payload,
    }
