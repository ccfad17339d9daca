"""`reindex`, `accept-loss` and `forget-damaged`: ways on with a database that is damaged, or lacks commits."""

from typing import Any

import click

from console.output.progress import SlowProgress
from console.output.tables import print_json, print_line
from console.shell.options import by_option, json_option, person, reason_option
from console.shell.session import Session
from eventstore.common.identifiers import HOME_STREAM
from eventstore.errors import HomeError
from eventstore.events.catalogue import AuditRecorded
from eventstore.integrity.accepted_loss import AcceptedLoss
from eventstore.integrity.accepted_loss import accept_loss as accept
from eventstore.integrity.reindexing import reindex as make_indexes_anew
from eventstore.log.event_log import NewEvent
from eventstore.queue.idempotency import forget_damaged_keys
from eventstore.queue.packed_batches import forget_damaged_packed_batches
from eventstore.sqlite.high_water_mark import Mark

__all__ = ["accept_loss", "forget_damaged", "reindex"]


@click.command()
@json_option
@click.pass_obj
def reindex(session: Session, *, is_json: bool) -> None:
    """Rebuild every index of the database from its table, and check all of it; no daemon may run.

    That repairs what `hookfuse doctor` and the start of the daemon find in indexes. Nothing that is recorded or queued
    is lost by it. What it cannot fix is reported: restore that from a backup.

    \b
    Example:
      hookfuse reindex
    """  # noqa: D301 - \b is click's
    session.require_home()
    position = make_indexes_anew(session.home, SlowProgress)
    if is_json:
        print_json({"database": str(session.home.database), "events": position})
        return
    print_line(f"rebuilt all indexes; the database is intact, and holds {position:,} events")


@click.command("accept-loss")
@reason_option()
@by_option
@json_option
@click.pass_obj
def accept_loss(session: Session, *, reason: str, by: str, is_json: bool) -> None:
    """Go on with what is left of a database that has lost commits; no daemon may run.

    If events.db is missing or empty, a new one is created. Who decided so, and why, is recorded. Deliveries that are
    lost are not sent; those that were sent since then, and are queued here still, are sent again under their ids.

    \b
    Example:
      hookfuse accept-loss --reason "the disk was replaced, and the newest backup is of yesterday"
    """  # noqa: D301 - \b is click's
    if not session.home.path.is_dir():
        raise HomeError(f"no home at {session.home.path}: name another with --home or HOOKFUSE_HOME")
    loss = accept(session.home, session.clock, by=person(by), reason=reason)
    if is_json:
        print_json(_document(loss))
    else:
        print_line(_said(loss))


def _document(loss: AcceptedLoss | None) -> dict[str, Any]:
    """Return what a program is told; null = not known."""
    if loss is None:
        return {"is_changed": False, "before": None, "left": None, "is_other": False}
    before = None if loss.before is None else _numbers(loss.before)
    return {"is_changed": True, "before": before, "left": _numbers(loss.left), "is_other": loss.is_other}


def _numbers(mark: Mark) -> dict[str, int]:
    return {"events": mark.position, "deliveries": mark.sequence}


def _said(loss: AcceptedLoss | None) -> str:
    if loss is None:
        return "nothing is missing: nothing was changed"
    left = f"{loss.left.position:,} events, and deliveries up to number {loss.left.sequence:,}"
    if loss.before is None:
        return f"what was lost is not known; left are {left}"
    if loss.is_other:
        return f"accepted as another database, with {left}"
    return (
        f"given up: {loss.before.position - loss.left.position:,} events, and"
        f" {loss.before.sequence - loss.left.sequence:,} deliveries that were queued; left are {left}"
    )


@click.command("forget-damaged")
@reason_option()
@by_option
@json_option
@click.pass_obj
def forget_damaged(session: Session, *, reason: str, by: str, is_json: bool) -> None:
    """Delete what is damaged and kept apart: packed batches of large batches, and idempotency keys.

    `hookfuse doctor` says when each was queued, and to whom. Queue the deliveries again, from where they came
    from first, under other idempotency keys. A deleted key can be used again.

    \b
    Example:
      hookfuse forget-damaged --reason "queued again by the billing job"
    """  # noqa: D301 - \b is click's
    with session.writing() as store, store.transaction() as transaction:
        count = forget_damaged_packed_batches(transaction.connection)
        keys = forget_damaged_keys(transaction.connection)
        if count or keys:
            details = {"reason": reason, "deliveries": f"{count}", "idempotency_keys": f"{keys}"}
            transaction.append(NewEvent(HOME_STREAM, AuditRecorded("home.forget-damaged", person(by), "home", details)))
    if is_json:
        print_json({"forgotten": count, "forgotten_keys": keys})
    else:
        print_line(f"deleted {count} deliveries and {keys} idempotency keys")
