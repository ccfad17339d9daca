"""`hookfuse deliveries`: what waits, was missed or is dead; sent again, or given up."""

import click
import msgspec

from console.lookup import resolve_installation
from console.options import by_option, installation_option, json_option, limit_option, person, reason_option
from console.output import Column, print_json_rows, print_line, print_table, shown_id
from console.session import Session
from console.times import short_time
from eventstore.second_chance import drop_kept, kept_deliveries, resend_kept
from eventstore.store import Store
from eventstore.work_queue import QueuedDelivery, read_deliveries

__all__ = ["deliveries"]

# Deliveries that are put back in one transaction: the daemon's own commits wait for it.
_BATCH = 500

_COLUMNS = (
    Column("delivery", is_whole=True),
    Column("state"),
    Column("installation", is_whole=True, is_extra=True),
    Column("event"),
    Column("attempts", is_number=True),
    Column("last error", is_extra=True),
    Column("queued at", is_whole=True, is_extra=True),
    Column("due at", is_whole=True, is_extra=True),
)


@click.group(invoke_without_command=True)
@click.option("--state", type=click.Choice(["waiting", "missed", "dead"]), help="Only in this state.")
@installation_option
@click.option("--payload", is_flag=True, help="With the data that is to be sent.")
@limit_option(100)
@json_option
@click.pass_context
def deliveries(
    context: click.Context, *, state: str | None, installation: str | None, payload: bool, limit: int, is_json: bool
) -> None:
    """Show what the queue holds, in the order of queueing; or send it again, or drop it.

    \b
    Example:
      hookfuse deliveries --state dead
      hookfuse deliveries resend --installation 7c1f0a52 --state missed
    """  # noqa: D301 - \b is click's
    if context.invoked_subcommand is not None:
        return
    session: Session = context.obj
    with session.reading() as connection:
        installation_id = None if installation is None else resolve_installation(connection, installation)
        found = read_deliveries(connection, state=state, installation_id=installation_id, limit=limit)
    if is_json:
        print_json_rows(_document(delivery, is_with_payload=payload) for delivery in found)
        return
    columns = (*_COLUMNS, Column("data")) if payload else _COLUMNS
    print_table(columns, [_cells(one)[: len(columns)] for one in found], empty="no such delivery")


def _cells(delivery: QueuedDelivery) -> tuple[object, ...]:
    return (
        delivery.delivery_id,
        delivery.state,
        shown_id(delivery.installation_id),
        delivery.event_name,
        delivery.attempts,
        delivery.last_error,
        short_time(delivery.enqueued_at),
        short_time(delivery.due_at) if delivery.state == "waiting" else "",
        delivery.data,
    )


def _document(delivery: QueuedDelivery, *, is_with_payload: bool) -> dict[str, object]:
    document: dict[str, object] = {
        "delivery_id": delivery.delivery_id,
        "state": delivery.state,
        "installation_id": delivery.installation_id,
        "event": delivery.event_name,
        "ordering_key": delivery.ordering_key,
        "attempts": delivery.attempts,
        "enqueued_at": delivery.enqueued_at,
        "due_at": delivery.due_at if delivery.state == "waiting" else None,
        "last_error": delivery.last_error,
    }
    return document | ({"data": msgspec.Raw(delivery.data.encode())} if is_with_payload else {})


@deliveries.command("resend")
@click.argument("delivery_ids", nargs=-1, metavar="[DELIVERY_ID]...")
@click.option("--installation", metavar="ID", help="All that are kept of this installation.")
@click.option("--state", type=click.Choice(["dead", "missed"]), help="With --installation: only in this state.")
@reason_option("by hand")
@by_option
@click.pass_obj
def resend(
    session: Session,
    *,
    delivery_ids: tuple[str, ...],
    installation: str | None,
    state: str | None,
    reason: str,
    by: str,
) -> None:
    """Send dead or missed deliveries again, in order, under their ids and with all attempts before them.

    \b
    Example:
      hookfuse deliveries resend 0197d3c0-1f2e-7a40-9d3c-5b1c2d3e4f50
      hookfuse deliveries resend --installation 7c1f0a52 --state missed --reason "endpoint mended"
    """  # noqa: D301 - \b is click's
    if bool(delivery_ids) == (installation is not None):
        raise click.UsageError("give delivery ids, or --installation")
    if state is not None and installation is None:
        raise click.UsageError("--state goes with --installation")
    with session.writing() as store:
        if installation is None:
            with store.transaction() as transaction:
                resend_kept(transaction, delivery_ids, by=person(by), reason=reason)
            count = len(set(delivery_ids))
        else:
            installation_id = resolve_installation(store.connection, installation)
            states = ("dead", "missed") if state is None else (state,)
            count = _resend_all(store, installation_id, states, by=person(by), reason=reason)
    print_line(f"{count} deliveries wait again" if count != 1 else "1 delivery waits again")


def _resend_all(store: Store, installation_id: str, states: tuple[str, ...], *, by: str, reason: str) -> int:
    count = after_sequence = 0
    while True:
        with store.transaction() as transaction:
            kept = kept_deliveries(
                transaction.connection, installation_id, states, after_sequence=after_sequence, limit=_BATCH
            )
            if kept:
                resend_kept(transaction, [delivery_id for _, delivery_id in kept], by=by, reason=reason)
        count += len(kept)
        if len(kept) < _BATCH:
            return count
        after_sequence = kept[-1][0]


@deliveries.command("drop")
@click.argument("delivery_ids", nargs=-1, required=True, metavar="DELIVERY_ID...")
@reason_option()
@by_option
@click.pass_obj
def drop(session: Session, delivery_ids: tuple[str, ...], reason: str, by: str) -> None:
    """Give dead or missed deliveries up; their data is gone, the decision is recorded.

    \b
    Example:
      hookfuse deliveries drop 0197d3c0-1f2e-7a40-9d3c-5b1c2d3e4f50 --reason "sent by hand"
    """  # noqa: D301 - \b is click's
    with session.writing() as store, store.transaction() as transaction:
        drop_kept(transaction, delivery_ids, by=person(by), reason=reason)
    count = len(set(delivery_ids))
    print_line(f"{count} deliveries dropped" if count != 1 else "1 delivery dropped")
